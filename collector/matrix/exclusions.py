"""Ends of paths of which nothing bad that is seen is a fault, and why: they come, go, or are about to be taken away.

In: a snapshot. Out: a reason for each such vantage and target. What is done at an excluded end is measured and shown, but it is
neither loss nor unknown.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.discovery.snapshot import Node, Snapshot, Vantage

SENTENCES: Final = {
    "terminating": "its pod is terminating",
    "not_ready": "its pod is not ready",
    "settling": "its pod became ready a moment ago",
    "cordoned": "its node is cordoned",
}
"""By reason, in the order of precedence."""
_CODES: Final = {word: code for code, word in enumerate(SENTENCES, 1)}
_WORDS: Final = ("", *SENTENCES)

Codes = NDArray[np.uint8]


class Exclusions:
    """The reasons in a snapshot, empty where there is none."""

    def __init__(self, snapshot: Snapshot) -> None:
        nodes: Mapping[str, Node] = {node.name: node for node in snapshot.nodes if node.excluded}
        self.sources: dict[str, str] = {}
        """By the name of a vantage."""
        self.targets: dict[str, str] = {f"node/{name}": node.excluded for name, node in nodes.items()}
        """By the name that paths have for a target."""
        for one in snapshot.vantages:
            if word := one.excluded or _of_node(one, nodes):
                self.sources[one.name] = word
                self.targets[f"pod/{one.namespace}/{one.pod}"] = word
        for pod in snapshot.pods:
            if not pod.ready:
                self.targets[f"pod/{pod.namespace}/{pod.name}"] = "not_ready"
        if nodes:
            for service in snapshot.services:
                for door in service.doors:
                    if door.node in nodes:
                        self.targets[f"{door.kind}/{service.namespace}/{service.name}/{door.name}"] = nodes[door.node].excluded


def _of_node(one: Vantage, nodes: Mapping[str, Node]) -> str:
    return nodes[one.node].excluded if one.node in nodes else ""


def codes(names: Iterable[str | None], words: Mapping[str, str]) -> Codes:
    """A number for the reason of each name, 0 for none, with one more 0 at the end for names that come later."""
    return np.array([*(_CODES[words[name]] if name and name in words else 0 for name in names), 0], np.uint8)


def word_of(code: int) -> str:
    """The reason that a number stands for."""
    return _WORDS[code]

"""Draws the places and times of scenarios from a seed, and says what is drawn in the words of a scenario's file."""

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from lab.departure import ALONE
from lab.shape import Shape
from lab.topology import Topology

Words = dict[str, Any]
SHAPE: Final = Shape(nodes=6, zones=3, namespaces=("shop", "pay"))
TOPOLOGY: Final = Topology.of(SHAPE, "draw")
COLLECTOR: Final = TOPOLOGY.collector.node
CALM_SECONDS: Final = 40
"""How long it is watched that nothing harmless is called a fault."""
Names = str | Sequence[str]


class Dice:
    """Of one scenario; no node is drawn twice."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._used: set[str] = set()

    def node(self, spared: Sequence[str] = ()) -> str:
        """A node that was not drawn yet."""
        left = [node.name for node in TOPOLOGY.nodes if node.name not in self._used and node.name not in spared]
        node = self.random.choice(left)
        self._used.add(node)
        return node

    def namespaces(self) -> list[str]:
        """The two namespaces, in any order."""
        return self.random.sample(SHAPE.namespaces, 2)

    def at(self) -> str:
        """When it begins."""
        return f"{self.random.randint(5, 9)}s"

    def faults(self, faults: Sequence[tuple[Words, Words]], seconds: float) -> Words:
        """Faults that begin at the same time, each with the incident that is expected within so many seconds."""
        at = self.at()
        return {
            "timeline": [{"at": at, "fault": fault} for fault, _ in faults],
            "expect": {"incidents": [{**wanted, "within": f"{int(seconds)}s"} for _, wanted in faults]},
        }

    def policy(self, document: Words, seconds: int, only: str | None = None) -> Words:
        """A policy that is applied, and how long it is watched."""
        at = self.random.randint(5, 9)
        change = {"apply": document, **({"only": only} if only else {})}
        return {"timeline": [{"at": f"{at}s", "policy": change}], "duration": f"{at + seconds + 5}s"}

    @staticmethod
    def harmless(timeline: Sequence[Words]) -> Words:
        """Events that nobody should be told of."""
        return {"timeline": list(timeline), "duration": f"{CALM_SECONDS + 10}s"}


def incident(kind: Names, component: Names, layer: str, direction: str = "*") -> Words:
    """An incident that is expected."""
    return {"kind": kind, "component": component, "layer": layer, "direction": direction}


def pair(one: str, other: str, layer: str = "host") -> Words:
    """The incident of two nodes: whichever way is broken, neither of them gets an answer."""
    return incident("pair", [f"{one}>{other}", f"{other}>{one}"], layer)


def policy(namespace: str, name: str, spec: Words) -> Words:
    """A NetworkPolicy."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def allow(source: str, target: str) -> Words:
    """An expectation that a namespace's vantage reaches another one's."""

    def pods(namespace: str) -> Words:
        return {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "podSelector": {"matchLabels": {"app": "vantage"}},
        }

    return {
        "apiVersion": "netmatrix.io/v1alpha1",
        "kind": "ClusterReachabilityExpectation",
        "metadata": {"name": f"{source}-reaches-{target}"},
        "spec": {
            "from": [{"pods": pods(source)}],
            "to": [{"pods": pods(target)}],
            "ports": [{"protocol": "TCP", "port": 8620}],
            "expect": "allow",
        },
    }


def restart(node: str) -> Words:
    """An agent that ends and begins again as Kubernetes has it do."""
    return {"kind": "agent_restart", "node": node, "signal": "TERM"}


def alone(node: str) -> bool:
    """Whether there is something on a node that there is only one of."""
    return any(pod.role in ALONE for pod in TOPOLOGY.pods_on(node))

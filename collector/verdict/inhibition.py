"""Which incident explains which: a wider one that fires makes a narrower one silent, once nothing but the wider one is seen.

In: what an incident is about, and those that fire. Out: the id of the widest one that covers it, or nothing. Pure.
"""

from collections.abc import Sequence
from typing import Final

from collector.verdict.candidates import ALL, NETWORK, Scope
from collector.verdict.cells import Cells
from collector.verdict.servers import behind

RANK: Final = (
    "pair",
    "mtu",
    "policy",
    "agent",
    "service",
    "dns",
    "external",
    "node",
    "group",
    "zone_pair",
    "canary",
    "widespread",
    "collector",
)
"""From narrow to wide."""
WIDE: Final = frozenset({"node", "group", "zone_pair", "widespread"})
NETWORK_KINDS: Final = frozenset({"pair", "mtu", "service", "dns", "external", "node", "group", "zone_pair", "policy"})


def inhibited(scope: Scope, firing: Sequence[tuple[Scope, str]], cells: Cells) -> str:
    """The id of the widest incident that covers a scope."""
    wider = [(RANK.index(one.kind), id_) for one, id_ in firing if _covers(one, scope, cells)]
    return max(wider)[1] if wider else ""


def awaits(scope: Scope, pending: Sequence[Scope], cells: Cells) -> bool:
    """Whether something wider that may explain it is about to be told: then it waits for that."""
    return any(one.layers == NETWORK and one.kind in WIDE and _covers(one, scope, cells) for one in pending)


def _covers(wide: Scope, scope: Scope, cells: Cells) -> bool:
    if wide.kind == scope.kind:
        same = wide.component == scope.component and wide.layers == NETWORK != scope.layers
        return same or wide.component == ALL != scope.component
    if wide.kind == "pair" and scope.kind == "mtu":
        return wide.layers == NETWORK and sorted(wide.component.split(">")) == sorted(scope.component.split(">"))
    if wide.kind not in RANK or scope.kind not in RANK or RANK.index(wide.kind) < RANK.index(scope.kind):
        return False
    ends = set(scope.component.split(">"))
    nodes = {end.node: end for end in cells.sources.all if end.node}
    match wide.kind:
        case "collector":
            covers = scope.kind == "agent"
        case "widespread":
            covers = scope.kind in NETWORK_KINDS
        case "node":
            served = behind(scope, cells.targets.all)
            serves = any(wide.component in end.behind for end in served)
            covers = (wide.component in ends or serves) and wide.layers in {NETWORK, scope.layers}
        case "group":
            covers = any(end in nodes and wide.component in nodes[end].groups for end in ends)
        case "zone_pair":
            covers = {nodes[end].zone if end in nodes else end for end in ends} <= set(wide.component.split(">"))
        case _:
            covers = False
    return covers

"""What canaries show of the network plugin: whether it enforces policies on their nodes, and one finding where it does not.

In: a comparison. Out: how each node's canary stands, and a finding. What answers on a port that a policy closes shows that
policies are not enforced there, which explains every other leak of pods on that node.
"""

from collections.abc import Collection
from typing import Final, Literal, NamedTuple

import numpy as np

from collector.verdict.candidates import Scope
from collector.verdict.cells import Expected, Ints, Mask
from collector.verdict.comparison import Comparison
from collector.verdict.finding import Finding
from collector.verdict.pair import Verdict
from wire.path import Layer

Test = Literal["deny", "allow"]
EVERYWHERE: Final = "cluster"
"""Component of a finding about more nodes than one."""
NAMED: Final = 8
"""Most nodes that a sentence names."""
GOOD: Final[dict[Test, tuple[Verdict, ...]]] = {"deny": (Verdict.OK,), "allow": (Verdict.OK, Verdict.DEGRADED)}
BAD: Final[dict[Test, tuple[Verdict, ...]]] = {"deny": (Verdict.LEAK,), "allow": (Verdict.BROKEN, Verdict.TARGET_DOWN)}


class Canaries(NamedTuple):
    """How they stand."""

    ok: dict[tuple[str, str], bool]
    """By node, and whether the closed port is closed or the open one open; nothing of what could not be judged."""
    leaking: frozenset[str]
    """Nodes whose canary answers on the closed port, or did a moment ago."""
    sure: bool
    """Whether all of these have shown it often enough, and every other canary that it is closed."""
    cells: Ints
    """The paths that show it."""


def canaries(one: Comparison) -> Canaries:
    """How every canary stands."""
    mine = np.array([entry.source == "canary" for entry in one.answers.every] or [False], np.bool_)
    which = np.flatnonzero(mine[one.answers.number])
    deny = one.answers.answer[which] == Expected.DENY
    ok: dict[tuple[str, str], bool] = {}
    _judge(one, which[deny], "deny", ok)
    _judge(one, which[~deny], "allow", ok)
    for key in [key for key, good in ok.items() if key[1] == "deny" and good and not ok.get((key[0], "allow"), False)]:
        del ok[key]  # silence proves nothing where nothing at all gets through
    verdict, suspect = one.compared.verdict[which], one.compared.suspect[which]
    leaking = which[deny & ((verdict == Verdict.LEAK) | suspect)]
    waiting = deny & (suspect | (verdict == Verdict.UNKNOWN))
    return Canaries(ok, frozenset(_nodes(one, leaking)), not waiting.any(), leaking)


def _judge(one: Comparison, cells: Ints, test: Test, ok: dict[tuple[str, str], bool]) -> None:
    """Of a node with two families both must be as they should be."""
    for cell, node in zip(cells.tolist(), _nodes(one, cells), strict=True):
        verdict = Verdict(int(one.compared.verdict[cell]))
        if verdict in BAD[test]:
            ok[node, test] = False
        elif verdict in GOOD[test]:
            ok.setdefault((node, test), True)


def unenforced(found: Canaries, finding: Finding) -> Finding:
    """The finding about all of them, made of one that has its counts; `found.leaking` is not empty."""
    nodes = sorted(found.leaking)
    of = len({node for node, test in found.ok if test == "allow"} | found.leaking)
    component = nodes[0] if len(nodes) == 1 < of else EVERYWHERE
    named = ", ".join(nodes[:NAMED]) + (f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else "")
    return finding._replace(
        scope=Scope("canary", component, "in", Layer.POD.value),
        certain=found.sure,
        nodes=len(nodes),
        sentence=(
            f"Policies are not enforced on {len(nodes)} of {of} nodes: {named}. "
            f"The canary there answers on the port that its policy closes."
        ),
        against="That the canary's closed port gives no answer, while its open one does.",
    )


def behind(one: Comparison, cells: Ints, nodes: Collection[str]) -> Mask:
    """Which of some leaks are at pods on these nodes, as sources or as targets, and follow from it."""
    if not (nodes and len(cells)):
        return np.zeros(len(cells), np.bool_)
    sources, targets, sample = one.sample.tables.sources, one.sample.tables.targets, one.sample
    near = np.array([end.node in nodes for end in sources.all], np.bool_)
    far = np.array([end.node in nodes for end in targets.all], np.bool_)
    result: Mask = near[sample.source[cells]] | far[sample.target[cells]]
    return result


def _nodes(one: Comparison, cells: Ints) -> list[str]:
    targets = one.sample.tables.targets
    return [targets[number].node for number in one.sample.target[cells].tolist()]

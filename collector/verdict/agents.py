"""What silent agents mean, and the guard against storms. In: findings, and when each agent was last heard. Out: findings.

A node that nobody reaches either is gone; one that is reached has lost its agent, unless its pods are not, or only by short
packets: then what its agent has to say does not get through. Where many agents are silent at once, the collector asks about its
own connection first: that is one incident, whatever else seems to be wrong.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np

from collector.verdict.candidates import NETWORK, Scope
from collector.verdict.cells import KINDS, LAYERS, Cells, Expected, Ints, Mask, Reason
from collector.verdict.finding import Finding
from collector.verdict.frame import framed
from collector.verdict.ways import both_ways, gone_for_good
from wire.path import Kind, Layer

WIDESPREAD: Final = 0.2
"""Share of the nodes; where more are blamed one by one, or more agents are silent, it is one incident."""
FEWEST: Final = 3
"""So few are told one by one."""
MOST_OF: Final = 1 / 3
"""Share of all agents that do not fall silent at once, each by itself."""
LEFT: Final = 2
"""Nodes whose agents must still be heard for others to be told one by one: of three, two at once are the collector's."""
ASKED: Final = 4
"""Fewest probes of a node that say whether it answers."""
QUIET: Final = 1.5
SILENT: Final = 2.6
"""Report intervals without a report, after which an agent's silence is noticed and told. Between the two lies a whole interval:
where the collector is cut off, agents fall silent one by one within that."""
LEAST_NS: Final = 12 * 10**9
"""The same in time, however often agents report: so long it takes until others have told that they do not reach its node, or
not with long packets."""
OVERDUE: Final = 1.15
"""The same for the agent of a node that nobody reaches."""
LOSSY: Final = 0.3
"""Loss of a node, from which it is no wonder that its agent is silent."""
GONE: Final = 0.7
"""Loss at which a node is taken for gone, where its agent is overdue: spans reach back to before it went, and a node that loses
half of its packets in one direction is only late with its reports."""
ANSWERED: Final = (Reason.JUDGED, Reason.IDENTITY)
"""Reasons of cells that say whether a kernel answers: nobody confirms whose address it is once its agent has ended."""
ONE_BY_ONE: Final = frozenset({"node", "pair", "zone_pair", "group", "mtu"})
"""Kinds that a widespread fault is in place of."""


def with_agents(findings: Sequence[Finding], cells: Cells, now_ns: int, report_ns: int, *, deaf: bool = False) -> list[Finding]:
    """Findings, with those that silence makes; of no single agent while the collector was `deaf` of late."""
    quiet, overdue = (_silent(cells, now_ns, int(much * report_ns)) for much in (QUIET, OVERDUE))
    cut_off = _cut_off(cells) if quiet else set()
    silent = _silent(cells, now_ns, max(int(SILENT * report_ns), LEAST_NS))
    expected = _places(cells, np.flatnonzero(cells.heard_ns >= 0).tolist())
    result = list(findings)
    many = max(min(FEWEST, len(expected) - LEFT), 1, WIDESPREAD * len(expected))
    if _at_once(quiet, cells, cut_off, many):
        scope = Scope("collector", "collector", "both", Layer.POD.value)
        proven = _at_once(silent, cells, cut_off, many)
        whole = _of_agents(scope, len(quiet), int((cells.heard_ns >= 0).sum()), proven=proven)
        return [*_guarded(result, cells, deaf=True), whole]
    by_node = {one.scope.component: place for place, one in enumerate(result) if _of_node(one)}
    busy, long_lost = (
        {one.scope.component: place for place, one in enumerate(result) if one.scope.kind == kind} for kind in ("agent", "mtu")
    )
    gone: set[int] = set()
    for number in overdue:
        end = cells.sources[number]
        place = by_node.get(end.node)
        node = None if place is None else result[place]
        if node is not None and place is not None and node.layer is Layer.HOST and node.loss >= LOSSY:
            if node.loss >= GONE:
                result[place] = gone_for_good(node)
            continue
        if number not in quiet:
            continue
        if (long := long_lost.get(end.node)) is not None:  # reports are long packets
            result[long] = both_ways(result[long])
        elif node is not None and place is not None and node.layer is Layer.POD and end.node in cut_off:
            if node.total:  # its agent is one of the pods that nothing gets through to
                result[place] = both_ways(node)
        elif not deaf:
            gone |= {one for one in (place, busy.get(end.node)) if one is not None}
            proven = number in silent and end.node not in cut_off
            result.append(_of_agents(Scope("agent", end.name, "both", Layer.POD.value), 1, 1, proven=proven))
    return _guarded([one for place, one in enumerate(result) if place not in gone], cells, deaf=False)


def _at_once(agents: Sequence[int], cells: Cells, cut_off: AbstractSet[str], many: float) -> bool:
    """Whether so many agents, of nodes that answer, are silent at once: of many nodes, or a large share of a few."""
    heard = [number for number in agents if cells.sources[number].node not in cut_off]
    places, expected = len(_places(cells, heard)), int((cells.heard_ns >= 0).sum())
    return places > many or (len(heard) >= FEWEST and len(heard) >= MOST_OF * expected and places > 1)


def _of_node(finding: Finding) -> bool:
    return finding.scope.kind == "node" and finding.scope.layers == NETWORK


def _places(cells: Cells, agents: Sequence[int]) -> set[str]:
    """Nodes of some agents, or their names where they have none: a dead node may have had several."""
    return {cells.sources[number].node or cells.sources[number].name for number in agents}


def _cut_off(cells: Cells) -> set[str]:
    """Nodes that do not answer others: what their agents would say does not get out, and that is no matter of the agents.

    A kernel answers pings whoever else has ended; where nobody pings, whatever is lost counts.
    """
    frame = framed(cells.sources, cells.targets)
    near, far = frame.node_of_source[cells.source], frame.node_of_target[cells.target]
    others = (far >= 0) & (near != far)
    pings = others & (cells.kind == KINDS.index(Kind.ICMP)) & np.isin(cells.reason, ANSWERED)
    pings &= cells.expected == Expected.ALLOW
    found, unasked = np.zeros(len(frame.words), np.bool_), np.ones(len(frame.words), np.bool_)
    for layer in (Layer.POD, Layer.HOST):
        asked, lossy = _answers(pings & (cells.layer == LAYERS.index(layer)), far, len(frame.words), cells)
        found, unasked = found | lossy, unasked & ~asked
    found |= unasked & _answers(others & cells.judged, far, len(frame.words), cells)[1]
    return {frame.words[number] for number in np.flatnonzero(found).tolist()}


def _answers(which: Mask, far: Ints, nodes: int, cells: Cells) -> tuple[Mask, Mask]:
    """Of each node: whether enough was sent to it to tell, and whether so much of that was lost that nobody gets out."""
    sent, lost = (np.bincount(far[which], column[which], nodes) for column in (cells.sent, cells.lost))
    asked = sent >= ASKED
    return asked, asked & (lost >= LOSSY * sent)


def _silent(cells: Cells, now_ns: int, silent_ns: int) -> list[int]:
    heard = cells.heard_ns
    return np.flatnonzero((heard >= 0) & (now_ns - heard > silent_ns)).tolist()


def _of_agents(scope: Scope, silent: int, expected: int, *, proven: bool) -> Finding:
    return Finding(
        scope, Layer.POD, lost=silent, sent=expected, witnesses=silent, of_witnesses=expected, effect="silent", nodes=silent,
        severity="critical" if scope.kind == "collector" else "warning", proven=proven,
    )  # fmt: skip


def _guarded(findings: list[Finding], cells: Cells, *, deaf: bool) -> list[Finding]:
    """One incident in place of many, where a large share of the cluster is blamed node by node; none where nobody is heard."""
    nodes = [finding for finding in findings if _of_node(finding)]
    count = len(cells.sources.nodes.words)
    if len(nodes) <= max(FEWEST, WIDESPREAD * count):
        return findings
    others = [finding for finding in findings if finding.scope.kind not in ONE_BY_ONE]
    if deaf:
        return others
    worst = max(nodes, key=lambda finding: (finding.score, finding.scope))
    wide = worst._replace(
        scope=Scope("widespread", "cluster", "both", NETWORK),
        lost=sum(finding.lost for finding in nodes),
        sent=sum(finding.sent for finding in nodes),
        witnesses=len(nodes),
        of_witnesses=count,
        nodes=len(nodes),
        severity="critical",
        fresh=any(finding.fresh for finding in nodes),
    )
    return [wide, *others]

"""Incidents: what is told to people. In: findings and what was told before. Out: incidents that are open or have just closed.

An incident's id needs no state: it is a hash of cluster, kind, component, layer and direction: a recurrence has the same.
While it is pending, a better finding about the same component refines it; once it fires, id and words stay as they are.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np

from collector.verdict.candidates import NETWORK, Scope
from collector.verdict.cells import Cells
from collector.verdict.finding import Effect, Evidence, Finding, Severity
from collector.verdict.hold import Hold, Phase, held
from wire.path import Layer

MOST: Final = 50
"""Most open incidents."""
WIDESPREAD: Final = 0.2
"""Share of the nodes; where more are blamed one by one, or more agents are silent, it is one incident."""
FEWEST: Final = 3
SIGHTINGS: Final = 2
PENDING_NS: Final = 30 * 10**9
CLEAR_NS: Final = 40 * 10**9
UNDECIDED_NS: Final = 45 * 10**9
"""How long at most an incident waits until its direction is known."""
SILENT: Final = 2.5
"""Report intervals without a report, after which an agent is silent."""
OVERDUE: Final = 1.15
"""The same for the agent of a node that nobody reaches."""
TELLING: Final = 5.0
"""Losses that must be missed, at the loss that was seen, before an incident closes."""
TOTAL: Final = 0.8
"""Loss at which a node may be dead, which its agent's silence tells."""

Key = tuple[str, str, str]
"""Kind, component and layers: what stays while an incident is refined."""


class Incident(NamedTuple):
    """One cause."""

    id: str
    kind: str
    component: str
    layer: Layer
    direction: str
    """As the component's own cells see it: `in`, `out`, `both`."""
    phase: Phase
    since_ns: int
    seen_ns: int
    """When it was last seen."""
    loss: float
    """Share of probes lost, 0 to 1, of what it covers."""
    sent: int
    lost: int
    witnesses: int
    """Distinct other ends that saw losses."""
    of_witnesses: int
    sentence: str
    effect: Effect = "loss"
    severity: Severity = "warning"
    nodes: int = 0
    """How far it reaches: nodes, paths (cells) and namespaces that lose something by it."""
    paths: int = 0
    namespaces: int = 0
    src_namespace: str = ""
    dst_namespace: str = ""
    owner: str = ""
    expectation: str = ""
    """Namespace and name of the declared expectation that it breaks, where one does."""
    inhibited_by: str = ""
    """Id of a wider incident that fires."""
    evidence: tuple[Evidence, ...] = ()
    against: str = ""
    """What would have contradicted it."""


class Memory(NamedTuple):
    """What is remembered from pass to pass."""

    holds: Mapping[Key, Hold] = {}
    findings: Mapping[Key, Finding] = {}
    """The finding that each incident is told by."""


def settled(
    findings: Sequence[Finding], cells: Cells, memory: Memory, now_ns: int, *, cluster: str, report_ns: int
) -> tuple[list[Incident], Memory]:
    """Incidents after a pass; those that close now are among them, once. `report_ns`: the report interval."""
    named = _guarded(_with_agents(_joined(findings), cells, now_ns, report_ns), cells)
    current = {(one.scope.kind, one.scope.component, one.scope.layers): one for one in named}
    holds: dict[Key, Hold] = {}
    kept: dict[Key, Finding] = {}
    closed: list[Incident] = []
    for key in [*memory.holds, *(key for key in current if key not in memory.holds)]:
        found = current.get(key)
        seen = found is not None and found.fresh
        before = memory.holds.get(key)
        if before is None:
            if found is None or not seen:
                continue
            holds[key], kept[key] = Hold(Phase.PENDING, now_ns, now_ns), found
            continue
        told = found if found is not None and before.phase is Phase.PENDING else memory.findings[key]
        after = held(
            before,
            now_ns,
            seen=seen,
            ready=_ready(told, cells, before, now_ns),
            sightings=SIGHTINGS,
            pending_ns=PENDING_NS,
            clear_ns=_clear_ns(told),
        )
        if after.phase is not Phase.CLOSED:
            holds[key], kept[key] = after, told
        elif before.phase is not Phase.PENDING:
            closed.append(_incident(told, after, cluster, cells))
    open_ = sorted(holds, key=lambda key: (holds[key].phase is Phase.PENDING, holds[key].first_ns, -kept[key].score))
    chosen = open_[:MOST]
    told_now = [_incident(kept[key], holds[key], cluster, cells) for key in chosen]
    return [*told_now, *closed], Memory({key: holds[key] for key in chosen}, {key: kept[key] for key in chosen})


def identity(cluster: str, scope: Scope, uid: str, layer: Layer) -> str:
    """64 bits in hexadecimal."""
    words = (cluster, scope.kind, uid, layer.value, scope.direction)
    return blake2b("".join(f"{len(word)}:{word}" for word in words).encode(), digest_size=8).hexdigest()


def _silent(cells: Cells, now_ns: int, silent_ns: int) -> list[int]:
    heard = cells.heard_ns
    return np.flatnonzero((heard >= 0) & (now_ns - heard > silent_ns)).tolist()


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """A node that was found inbound in one span and outbound in another is one in both directions."""
    result: dict[Key, Finding] = {}
    for finding in findings:
        key = (finding.scope.kind, finding.scope.component, finding.scope.layers)
        before = result.get(key)
        if before is None:
            result[key] = finding
        elif before.scope.direction != finding.scope.direction:
            layer = Layer.HOST if Layer.HOST in {before.layer, finding.layer} else before.layer
            result[key] = before._replace(
                scope=before.scope._replace(direction="both"), layer=layer, fresh=before.fresh or finding.fresh
            )
    return list(result.values())


def _with_agents(findings: list[Finding], cells: Cells, now_ns: int, report_ns: int) -> list[Finding]:
    """What silent agents mean: a node that nobody reaches either is gone, one that is reached has lost its agent."""
    quiet, overdue = (_silent(cells, now_ns, int(much * report_ns)) for much in (SILENT, OVERDUE))
    expected = int((cells.heard_ns >= 0).sum())
    if len(quiet) > max(FEWEST, WIDESPREAD * expected):
        return [*findings, _of_agents("collector", len(quiet), expected)]
    result = {(one.scope.kind, one.scope.component, one.scope.layers): one for one in findings}
    for number in overdue:
        end = cells.sources[number]
        node = result.get(("node", end.node, NETWORK))
        if node is not None and node.layer is Layer.HOST and node.loss >= TOTAL:
            result["node", end.node, NETWORK] = node._replace(scope=node.scope._replace(direction="both"), certain=True)
        elif number in quiet:
            if node is not None and node.layer is not Layer.HOST:
                del result["node", end.node, NETWORK]
            if node is None or node.layer is not Layer.HOST:
                result["agent", end.name, Layer.POD.value] = _of_agents(end.name, 1, 1)
    return list(result.values())


def _of_agents(component: str, silent: int, expected: int) -> Finding:
    scope = Scope("agent", component, "both", Layer.POD.value)
    return Finding(
        scope, Layer.POD, lost=silent, sent=expected, witnesses=silent, of_witnesses=expected, effect="silent", nodes=silent
    )


def _guarded(findings: list[Finding], cells: Cells) -> list[Finding]:
    """One incident in place of many, where a large share of the cluster is blamed node by node."""
    nodes = [finding for finding in findings if finding.scope.kind == "node" and finding.scope.layers == NETWORK]
    count = len(cells.sources.nodes.words)
    if len(nodes) <= max(FEWEST, WIDESPREAD * count):
        return findings
    worst = max(nodes, key=lambda finding: finding.score)
    wide = worst._replace(
        scope=Scope("widespread", "cluster", "both", NETWORK),
        lost=sum(finding.lost for finding in nodes),
        sent=sum(finding.sent for finding in nodes),
        witnesses=len(nodes),
        of_witnesses=count,
        fresh=any(finding.fresh for finding in nodes),
    )
    return [wide, *(finding for finding in findings if finding.scope.kind in {"service", "dns", "external", "agent"})]


def _ready(finding: Finding, cells: Cells, hold: Hold, now_ns: int) -> bool:
    """Whether it is known what to tell: of a node that nobody reaches, whether its own agent still speaks."""
    scope = finding.scope
    if now_ns - hold.first_ns > UNDECIDED_NS:
        return True
    if not finding.certain:
        return False
    if scope.kind != "node" or scope.direction != "in" or finding.layer is not Layer.HOST or finding.loss < TOTAL:
        return True
    heard = [int(cells.heard_ns[n]) for n, end in enumerate(cells.sources.all) if end.node == scope.component]
    return any(one > hold.first_ns for one in heard)


def _clear_ns(finding: Finding) -> int:
    """How long nothing must be seen: so long that the loss that was seen would have shown."""
    if not finding.lost or not finding.span_ns:
        return CLEAR_NS
    return max(CLEAR_NS, int(TELLING * finding.span_ns / finding.lost))


def _uid(scope: Scope, cells: Cells) -> str:
    """UID of the object, where it has one, else its name."""
    if scope.kind in {"service", "external", "dns"}:
        return next((end.uid for end in cells.targets.all if end.name == scope.component and end.uid), scope.component)
    return scope.component


def _incident(finding: Finding, hold: Hold, cluster: str, cells: Cells) -> Incident:
    scope = finding.scope
    return Incident(
        identity(cluster, scope, _uid(scope, cells), finding.layer),
        scope.kind,
        scope.component,
        finding.layer,
        scope.direction,
        hold.phase,
        hold.first_ns,
        hold.last_ns,
        finding.loss,
        finding.sent,
        finding.lost,
        finding.witnesses,
        finding.of_witnesses,
        finding.sentence or sentence(finding),
        finding.effect,
        finding.severity,
        finding.nodes,
        finding.paths,
        finding.namespaces,
        finding.src_namespace,
        finding.dst_namespace,
        finding.owner,
        finding.expectation,
        evidence=finding.evidence,
        against=finding.against,
    )


def sentence(finding: Finding) -> str:
    """For an operator, with the numbers."""
    scope = finding.scope
    if scope.kind == "agent":
        who = "The collector" if scope.component == "collector" else f"Agent {scope.component}"
        if scope.component == "collector":
            return f"{who} no longer hears {finding.lost} of {finding.sent} agents."
        return f"{who} has stopped reporting, while its node answers."
    near, _, far = scope.component.partition(">")
    where = {"in": "to", "out": "from", "both": "to and from"}[scope.direction]
    subject = f"from {near} to {far}" if far else f"{where} {scope.kind} {near}"
    return (
        f"{finding.loss:.1%} of probes {subject} are lost on the {finding.layer} layer ({finding.lost} of {finding.sent} in "
        f"{finding.span_ns / 1e9:g} s, seen by {finding.witnesses} of {finding.of_witnesses} witnesses)."
    )

"""Incidents: what is told to people. In: findings and what was told before. Out: incidents that are open or have just closed.

An incident's id needs no state: it is a hash of cluster, kind, component, layer and direction: a recurrence has the same.
While it is pending, a better finding about the same component refines it; once it fires, id and labels stay as they are and
only its numbers follow. A wider cause found later is an incident of its own, which inhibits those that it explains.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from collector.verdict.agents import with_agents
from collector.verdict.candidates import Scope
from collector.verdict.candidates import key_of as scope_key
from collector.verdict.cells import Cells
from collector.verdict.finding import Effect, Evidence, Finding, Severity
from collector.verdict.hold import Hold, Limits, Phase, held
from collector.verdict.inhibition import awaits, inhibited
from collector.verdict.sentence import against, sentence
from collector.verdict.severity import severity_of
from collector.verdict.sightings import Counted, compared, counted, counts_again, gone, ready
from collector.verdict.timeline import Standing, Step, Timeline, followed
from collector.verdict.ways import gone_for_good
from wire.path import Layer

MOST: Final = 50
"""Most open incidents."""
SIGHTINGS: Final = 2
PENDING_NS: Final = 30 * 10**9
AWAITED_NS: Final = 15 * 10**9
"""How long a narrow cause waits at most for a wider one that may explain it."""
CLEAR_NS: Final = 40 * 10**9
TELLING: Final = 5.0
"""Losses that must be missed, at the loss that was seen, before an incident closes."""

DECLARED: Final = frozenset({"policy", "expectation", "canary"})
"""Kinds whose findings come with a severity, which is that of an expectation."""

Key = tuple[str, str, str, str]
"""What stays while an incident is refined: kind, component, layers, and an effect that may be beside another one."""
APART: Final = frozenset({"latency", "leak", "nat", "contradiction", "not_enforced", "unverifiable"})
"""Effects that the same component may have at the same time as others: they are incidents of their own."""


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
    steps: tuple[Step, ...] = ()
    """What happened to it, the oldest first."""


class Memory(NamedTuple):
    """What is remembered from pass to pass."""

    holds: Mapping[Key, Hold] = {}
    findings: Mapping[Key, Finding] = {}
    """The finding that each incident is told by."""
    counted: Mapping[Key, Counted] = {}
    timelines: Mapping[Key, Timeline] = {}

    @property
    def told(self) -> list[Scope]:
        """What fires, or did until just now."""
        return [self.findings[key].scope for key, hold in self.holds.items() if hold.phase is not Phase.PENDING]


def settled(
    findings: Sequence[Finding], cells: Cells, memory: Memory, now_ns: int, *, cluster: str, report_ns: int, since: str = ""
) -> tuple[list[Incident], Memory]:
    """Incidents after a pass; those that close now are among them, once.

    `report_ns` is the report interval, `since` the time of day as it is told of what is first seen now.
    """
    deaf = any(key[0] == "collector" for key in memory.holds)
    current = {key_of(one): one for one in with_agents(_joined(findings), cells, now_ns, report_ns, deaf=deaf)}
    pending = [memory.findings[key].scope for key, hold in memory.holds.items() if hold.phase is Phase.PENDING]
    holds: dict[Key, Hold] = {}
    kept: dict[Key, Finding] = {}
    compare: dict[Key, Counted] = {}
    closed: dict[Key, Incident] = {}
    for key in [*memory.holds, *(key for key in current if key not in memory.holds)]:
        found = current.get(key)
        seen = found is not None and found.fresh
        before = memory.holds.get(key)
        if before is None:
            if found is not None and seen:
                holds[key] = Hold(Phase.PENDING, now_ns, now_ns, since=since)
                kept[key] = _named(found)
                compare[key] = counted(found, now_ns)
            continue
        last = memory.counted[key]
        told = _followed(memory.findings[key], found, before.phase)
        if found is not None and before.phase is Phase.PENDING and gone(found, last, cells, before, now_ns):
            told = _named(gone_for_good(told))
        counts = found is not None and seen and counts_again(found, last, now_ns)
        if found is not None and seen:
            last = compared(found, last, now_ns, counts=counts)
        limits = Limits(SIGHTINGS, PENDING_NS, _clear_ns(told))
        is_ready = ready(told, cells, before, now_ns, report_ns)
        if is_ready and now_ns - before.first_ns < AWAITED_NS:
            is_ready = not awaits(told.scope, pending, cells)
        after = held(before, now_ns, seen=seen, counts=counts, ready=is_ready, limits=limits)
        if after.phase is not Phase.CLOSED:
            holds[key], kept[key], compare[key] = after, told, last
        elif before.phase is not Phase.PENDING:
            closed[key] = _incident(told, after, cluster, cells)
    open_ = sorted(holds, key=lambda key: (holds[key].phase is Phase.PENDING, holds[key].first_ns, -kept[key].score, key))
    chosen = open_[:MOST]
    ids = {key: _incident(kept[key], holds[key], cluster, cells) for key in chosen}
    firing = {key: (kept[key].scope, ids[key].id) for key in chosen if holds[key].phase in {Phase.FIRING, Phase.RESOLVING}}
    # What is found beside a wider cause in one pass is not explained by it.
    over = [one for key, one in firing.items() if key not in current or not current[key].fresh]
    told_now = {
        key: one._replace(inhibited_by=inhibited(kept[key].scope, over if key in current else list(firing.values()), cells))
        for key, one in ids.items()
    }
    told_now |= closed
    lines = {key: followed(memory.timelines.get(key, Timeline()), _standing(one), now_ns) for key, one in told_now.items()}
    remembered = Memory(*({key: value[key] for key in chosen} for value in (holds, kept, compare, lines)))  # type: ignore[arg-type]
    return [one._replace(steps=lines[key].steps) for key, one in told_now.items()], remembered


def _standing(one: Incident) -> Standing:
    subject = one.kind, one.component, one.layer.value, one.direction, one.effect, one.severity
    return Standing(one.phase, one.since_ns, subject, one.sentence, one.inhibited_by)


def key_of(finding: Finding) -> Key:
    """What stays the same while it is refined."""
    return *scope_key(finding.scope), finding.effect if finding.effect in APART else ""


def identity(cluster: str, scope: Scope, uid: str, layer: Layer, effect: str = "") -> str:
    """64 bits in hexadecimal."""
    words = (cluster, scope.kind, uid, layer.value, scope.direction, *([effect] if effect in APART else []))
    return blake2b("".join(f"{len(word)}:{word}" for word in words).encode(), digest_size=8).hexdigest()


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """A node that was found inbound in one span and outbound in another is one in both directions."""
    result: dict[Key, Finding] = {}
    for finding in findings:
        key = key_of(finding)
        before = result.get(key)
        if before is None:
            result[key] = finding
        elif before.scope.direction != finding.scope.direction or before.scope.component != finding.scope.component:
            layer = Layer.HOST if Layer.HOST in {before.layer, finding.layer} else before.layer
            scope = before.scope._replace(component=key[1], direction="both", sides="both")
            result[key] = before._replace(scope=scope, layer=layer, fresh=before.fresh or finding.fresh)
    return list(result.values())


def _named(finding: Finding) -> Finding:
    """With its severity, where nobody gave it one."""
    given = finding.scope.kind in DECLARED or finding.score <= 0
    return finding if given else finding._replace(severity=severity_of(finding))


def _followed(told: Finding, found: Finding | None, phase: Phase) -> Finding:
    """What an incident is told by now: all of the latest finding while it is pending, its numbers alone afterwards."""
    if found is None or not found.fresh:
        return told
    if phase is Phase.PENDING:
        return _named(found)
    return found._replace(
        scope=told.scope, layer=told.layer, effect=told.effect, severity=told.severity, certain=True, proven=True
    )


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
        identity(cluster, scope, _uid(scope, cells), finding.layer, finding.effect),
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
        finding.sentence or sentence(finding, hold.since),
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
        against=finding.against or against(finding),
    )

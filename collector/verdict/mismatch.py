"""Findings that no statistics of losses can make: leaks, declared paths that are broken, contradictions, what is not proven.

In: a comparison, the causes that were found in it, and since when each expectation was not proven. Out: findings for the one
hold, by pair of namespaces or by declaration. What a cause explains is not told a second time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from collector.expectation.expected import Expectation
from collector.verdict.canary import EVERYWHERE, behind, canaries, unenforced
from collector.verdict.candidates import ALL, NETWORK, Scope
from collector.verdict.cells import FAMILIES, KINDS, LAYERS, End, Expected, Ints, Mask
from collector.verdict.comparison import Comparison
from collector.verdict.finding import MOST_EVIDENCE, Evidence, Finding, Severity
from collector.verdict.pair import Verdict
from wire.path import Layer

UNPROVEN_NS: Final = 300 * 10**9
"""How long a declared deny may stay unproven before it is told: a target may be restarting."""
TRANSLATED: Final = 2
"""Pods that must see another address of a node's pods."""
ENFORCED: Final = 3
"""Pairs of namespaces that must all leak, and none be closed, before it is the network plugin that enforces nothing."""
CONTRADICTING: Final = frozenset({"policies", "another"})
_RANK: Final[Mapping[Severity, int]] = {"critical": 0, "warning": 1, "info": 2}


def mismatches(one: Comparison, causes: Sequence[Finding], unproven_ns: Mapping[str, int]) -> list[Finding]:
    """All of them. `unproven_ns` is since when each declaration has had a deny that nobody could prove."""
    leaking = one.compared.verdict == Verdict.LEAK
    suspect = one.compared.suspect & (one.answers.answer == Expected.DENY)
    canary = canaries(one)
    leaks = _told(one, np.flatnonzero(leaking | suspect))
    leaks = leaks[~behind(one, leaks, canary.leaking)]
    broken = _told(one, np.flatnonzero(one.compared.verdict == Verdict.BROKEN))
    declared = np.array([entry.source == "declared" for entry in one.answers.every] or [False], np.bool_)
    broken = broken[declared[one.answers.number[broken]] | (one.past[broken] & _across(one, broken))]
    broken = broken[~_explained(one, broken, causes)]
    enforcing = []
    if canary.leaking:
        scope = Scope("canary", "", "in", Layer.POD.value)
        enforcing = [unenforced(canary, _finding(one, scope, canary.cells, "not_enforced", "critical"))]
    return [
        *enforcing,
        *(_unenforced(one, leaks) or _by_namespaces(one, leaks, "leak")),
        *_by_namespaces(one, broken, "broken"),
        *_contradictions(one),
        *_translated(one),
        *_unverifiable(one, unproven_ns),
    ]


def unproven(one: Comparison, before: Mapping[str, int]) -> dict[str, int]:
    """Since when each declaration has had a deny that nobody could prove."""
    every = one.answers.every
    which = one.compared.verdict == Verdict.UNVERIFIABLE
    names = {every[number].name for number in np.unique(one.answers.number[which]).tolist()} - {""}
    return {name: before.get(name, one.sample.now_ns) for name in names}


def _told(one: Comparison, cells: Ints) -> Ints:
    """Those that are not muted, and whose declaration is not contradicted: that is told already, and explains them."""
    contradicted = {wrong.name for wrong in one.contradictions if wrong.sort in CONTRADICTING}
    silent = [entry.muted_until_ns > one.wall_ns or entry.name in contradicted for entry in one.answers.every]
    return cells[~np.array(silent or [False], np.bool_)[one.answers.number[cells]]]


def _across(one: Comparison, cells: Ints) -> Mask:
    """Which of some cells are between two namespaces."""
    sources, targets, sample = one.sample.tables.sources, one.sample.tables.targets, one.sample
    return np.array(
        [
            targets[target].namespace not in {"", sources[source].namespace}
            for source, target in zip(sample.source[cells].tolist(), sample.target[cells].tolist(), strict=True)
        ],
        np.bool_,
    )


def _explained(one: Comparison, cells: Ints, causes: Sequence[Finding]) -> Mask:
    """Which of some cells lie in what another cause explains: a node that is cut off breaks no policy."""
    sample = one.sample
    sources, targets = sample.tables.sources.all, sample.tables.targets.all
    result = np.zeros(len(cells), np.bool_)
    for cause in causes if len(cells) else ():
        kind, names = cause.scope.kind, cause.scope.component.split(">")
        if kind in {"policy", "agent", "expectation", "canary"} or not cause.proven:
            continue  # what may still be a burst explains nothing yet
        if cause.scope.component == ALL or kind in {"widespread", "collector"}:
            return np.ones(len(cells), np.bool_)
        ahead, behind = ([_called(end, {name}) for end in sources] for name in (names[0], names[-1]))
        there, back = ([_called(end, {name}) for end in targets] for name in (names[-1], names[0]))
        near = np.array([ahead, behind], np.bool_)[:, sample.source[cells]]
        far = np.array([there, back], np.bool_)[:, sample.target[cells]]
        # Between two ends both of them count: a node that reaches one service badly is no reason for whatever else it asks.
        result |= (near & far).any(axis=0) if len(names) > 1 else near[0] | far[0]
    return result


def _called(end: End, names: set[str]) -> bool:
    return bool(names & {end.node, end.zone, end.name, *end.groups})


def _unenforced(one: Comparison, leaks: Ints) -> list[Finding]:
    """One finding in place of many, where whatever should be closed is open."""
    denied = one.answers.answer == Expected.DENY
    closed = denied & ((one.compared.verdict == Verdict.OK) | (one.compared.verdict == Verdict.UNVERIFIABLE))
    groups = list(_grouped(one, leaks))
    if closed.any() or len(groups) < ENFORCED:
        return []
    scope = Scope("canary", EVERYWHERE, "both", Layer.POD.value)
    finding = _finding(one, scope, leaks, "not_enforced", "critical")
    return [
        finding._replace(
            sentence=(
                f"Policies are not enforced: all {len(leaks)} paths between {len(groups)} pairs of namespaces that should be "
                f"closed are open."
            ),
            against="One path that should be closed and is.",
        )
    ]


def _by_namespaces(one: Comparison, cells: Ints, effect: str) -> Iterator[Finding]:
    for (near, far), members in _grouped(one, cells):
        sure = bool((~one.compared.suspect[members]).any())
        entries = _entries(one, members)
        first = min(entries, key=lambda entry: _RANK[entry.severity])
        scope = Scope("policy", f"{near}>{far}", "in", NETWORK if effect == "broken" else Layer.POD.value)
        finding = _finding(one, scope, members, "leak" if effect == "leak" else "broken", first.severity)
        word = "open, and should be closed" if effect == "leak" else "closed, and should be open"
        yield finding._replace(
            certain=sure,
            src_namespace=near,
            dst_namespace=far,
            owner=first.owner,
            expectation=first.name,
            sentence=f"{len(members)} paths from {near} to {far or 'the outside'} are {word}: {_because(one, members)}.",
            against=_against(effect),
        )


def _because(one: Comparison, members: Ints) -> str:
    place = int(members[0])
    entry = one.answers.every[int(one.answers.number[place])]
    if one.past[place]:
        ago = (one.sample.now_ns - int(one.open_until_ns[place])) / 1e9
        return f"open until {ago:.0f} s ago, and no policy change was seen"
    return entry.because


def _against(effect: str) -> str:
    if effect == "leak":
        return "That the probes get no answer, or that no policy and no declaration closes the path."
    return "That the probes get through, or that nobody else reaches the target either."


def _contradictions(one: Comparison) -> Iterator[Finding]:
    told: set[str] = set()
    for wrong in one.contradictions:
        if wrong.sort in CONTRADICTING and wrong.name not in told:
            told.add(wrong.name)
            yield Finding(
                Scope("expectation", wrong.name, "both", Layer.POD.value),
                Layer.POD,
                effect="contradiction",
                severity=wrong.severity,
                owner=wrong.owner,
                expectation=wrong.name,
                sentence=f"Expectation {wrong.name}: {wrong.because}.",
                against="A policy that agrees with it.",
            )


def _translated(one: Comparison) -> Iterator[Finding]:
    """Nodes whose pods are seen under another address by several pods: between pods there must be no NAT."""
    sample, tables = one.sample, one.sample.tables
    cells = sample.nat[(tables.layer[sample.ask[sample.nat]] == LAYERS.index(Layer.POD))]
    nodes: dict[str, list[int]] = {}
    for cell in cells.tolist():
        nodes.setdefault(tables.sources[int(sample.source[cell])].node, []).append(cell)
    for node, members in sorted(nodes.items()):
        seen = {int(sample.target[cell]) for cell in members}
        if node and len(seen) >= TRANSLATED:
            finding = _finding(one, Scope("nat", node, "out", Layer.POD.value), np.array(members, np.int64), "nat", "warning")
            yield finding._replace(
                sentence=f"{len(seen)} pods see pods of node {node} under another address: addresses are translated there.",
                against="That they see the pods' own addresses, as the Kubernetes network model promises.",
            )


def _unverifiable(one: Comparison, unproven_ns: Mapping[str, int]) -> Iterator[Finding]:
    every = one.answers.every
    for name, since_ns in sorted(unproven_ns.items()):
        if one.sample.now_ns - since_ns < UNPROVEN_NS:
            continue
        named = np.array([entry.name == name for entry in every], np.bool_)
        cells = np.flatnonzero((one.compared.verdict == Verdict.UNVERIFIABLE) & named[one.answers.number])
        if not len(cells):
            continue
        first = _entries(one, cells)[0]
        finding = _finding(one, Scope("expectation", name, "both", Layer.SERVICE.value), cells, "unverifiable", first.severity)
        yield finding._replace(
            owner=first.owner,
            expectation=name,
            sentence=(
                f"Expectation {name} cannot be proven: {len(cells)} paths that should be closed are silent, and nobody gets "
                f"through to their targets, which may not listen at all."
            ),
            against="A vantage that may reach the target and does.",
        )


def _grouped(one: Comparison, cells: Ints) -> Iterator[tuple[tuple[str, str], Ints]]:
    """Cells by namespaces of source and target."""
    sources, targets = one.sample.tables.sources, one.sample.tables.targets
    groups: dict[tuple[str, str], list[int]] = {}
    for cell in cells.tolist():
        near, far = sources[int(one.sample.source[cell])].namespace, targets[int(one.sample.target[cell])].namespace
        groups.setdefault((near, far), []).append(cell)
    for key, members in sorted(groups.items()):
        yield key, np.array(members, np.int64)


def _entries(one: Comparison, cells: Ints) -> list[Expectation]:
    return [one.answers.every[number] for number in np.unique(one.answers.number[cells]).tolist()]


def _finding(one: Comparison, scope: Scope, cells: Ints, effect: str, severity: Severity) -> Finding:
    sample, compared = one.sample, one.compared
    sources, targets = sample.tables.sources, sample.tables.targets
    sent = compared.sent[cells]
    against = compared.reached[cells] if effect in {"leak", "not_enforced"} else sent - compared.reached[cells]
    near = [sources[number] for number in np.unique(sample.source[cells]).tolist()]
    far = [targets[number] for number in np.unique(sample.target[cells]).tolist()]
    spans = [sample.spans[number].start_ns for number in np.unique(compared.span[cells]).tolist()]
    return Finding(
        scope,
        Layer.POD,
        lost=int(against.sum()),
        sent=int(sent.sum()),
        witnesses=len(near),
        of_witnesses=len(near),
        score=float(against.sum()),
        span_ns=sample.now_ns - min(spans),
        effect=effect,  # type: ignore[arg-type]
        severity=severity,
        nodes=len({end.node for end in (*near, *far)} - {""}),
        paths=len(cells),
        namespaces=len({end.namespace for end in (*near, *far)} - {""}),
        evidence=tuple(_evidence(one, cell) for cell in cells[:MOST_EVIDENCE].tolist()),
    )


def _evidence(one: Comparison, cell: int) -> Evidence:
    sample, tables = one.sample, one.sample.tables
    asked = int(sample.ask[cell])
    return Evidence(
        tables.sources[int(sample.source[cell])].name,
        tables.targets[int(sample.target[cell])].name,
        LAYERS[int(tables.layer[asked])],
        KINDS[int(tables.kind[asked])],
        FAMILIES[int(tables.family[asked])],
        int(one.compared.sent[cell]),
        int(one.compared.sent[cell] - one.compared.reached[cell]),
    )

"""Findings that no statistics of losses can make: leaks, declared paths that are broken, contradictions, what is not proven.

In: a comparison, the causes that were found in it, and since when each expectation was not proven. Out: findings for the one
hold, by pair of namespaces or by declaration. What a cause explains is not told a second time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from collector.verdict.canary import EVERYWHERE, behind, canaries, unenforced
from collector.verdict.candidates import NETWORK, Scope
from collector.verdict.cells import LAYERS, Expected, Ints, Mask
from collector.verdict.comparison import Comparison, open_until
from collector.verdict.finding import Finding, Severity
from collector.verdict.objectives import Missed, worst
from collector.verdict.pair import Verdict
from collector.verdict.particulars import CONTRADICTING, entries, explained, finding_of, told
from wire.path import Layer

UNPROVEN_NS: Final = 300 * 10**9
"""How long a declared deny may stay unproven before it is told: a target may be restarting."""
TRANSLATED: Final = 2
"""Pods that must see another address of a node's pods."""
ENFORCED: Final = 3
"""Pairs of namespaces that must all leak, and none be closed, before it is the network plugin that enforces nothing."""
_RANK: Final[Mapping[Severity, int]] = {"critical": 0, "warning": 1, "info": 2}


def mismatches(one: Comparison, causes: Sequence[Finding], unproven_ns: Mapping[str, int]) -> list[Finding]:
    """All of them. `unproven_ns` is since when each declaration has had a deny that nobody could prove."""
    leaking = one.compared.verdict == Verdict.LEAK
    suspect = one.compared.suspect & (one.answers.answer == Expected.DENY)
    canary = canaries(one)
    leaks = told(one, np.flatnonzero(leaking | suspect))
    leaks = leaks[~behind(one, leaks, canary.leaking)]
    broken = told(one, np.flatnonzero(one.compared.verdict == Verdict.BROKEN))
    declared = np.array([entry.source == "declared" for entry in one.answers.every] or [False], np.bool_)
    broken = broken[declared[one.answers.number[broken]] | (one.past[broken] & _across(one, broken))]
    broken = broken[~explained(one, broken, causes)]
    enforcing = []
    if canary.leaking:
        scope = Scope("canary", "", "in", Layer.POD.value)
        enforcing = [unenforced(canary, finding_of(one, scope, canary.cells, "not_enforced", "critical"))]
    return [
        *enforcing,
        *(_unenforced(one, leaks) or _by_namespaces(one, leaks, "leak")),
        *_by_namespaces(one, broken, "broken"),
        *_contradictions(one),
        *_objectives(one, causes),
        *_translated(one),
        *_unverifiable(one, unproven_ns),
    ]


def unproven(one: Comparison, before: Mapping[str, int]) -> dict[str, int]:
    """Since when each declaration has had a deny that nobody could prove."""
    every = one.answers.every
    which = one.compared.verdict == Verdict.UNVERIFIABLE
    names = {every[number].name for number in np.unique(one.answers.number[which]).tolist()} - {""}
    return {name: before.get(name, one.sample.now_ns) for name in names}


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


def _unenforced(one: Comparison, leaks: Ints) -> list[Finding]:
    """One finding in place of many, where whatever should be closed is open."""
    denied = one.answers.answer == Expected.DENY
    closed = denied & ((one.compared.verdict == Verdict.OK) | (one.compared.verdict == Verdict.UNVERIFIABLE))
    groups = list(_grouped(one, leaks))
    if closed.any() or len(groups) < ENFORCED:
        return []
    scope = Scope("canary", EVERYWHERE, "both", Layer.POD.value)
    found = finding_of(one, scope, leaks, "not_enforced", "critical")
    return [
        found._replace(
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
        named = entries(one, members)
        first = min(named, key=lambda entry: _RANK[entry.severity])
        scope = Scope("policy", f"{near}>{far}", "in", NETWORK if effect == "broken" else Layer.POD.value)
        found = finding_of(one, scope, members, "leak" if effect == "leak" else "broken", first.severity)
        word = "open, and should be closed" if effect == "leak" else "closed, and should be open"
        yield found._replace(
            certain=sure,
            src_namespace=near,
            dst_namespace=far,
            owner=first.owner,
            expectation=first.name,
            sentence=f"{_paths(len(members), near, far)} {word}: {_because(one, members)}.",
            against=_against(effect),
        )


def _paths(count: int, near: str, far: str) -> str:
    number, are = ("1 path", "is") if count == 1 else (f"{count} paths", "are")
    return f"{number} from {near} to {far or 'the outside'} {are}"


def _because(one: Comparison, members: Ints) -> str:
    place = int(members[0])
    entry = one.answers.every[int(one.answers.number[place])]
    if one.past[place]:
        return f"open until {open_until(one, place)}, and no policy change was seen"
    return entry.because


def _against(effect: str) -> str:
    if effect == "leak":
        return "That the probes get no answer, or that no policy and no declaration closes the path."
    return "That the probes get through, or that nobody else reaches the target either."


def _contradictions(one: Comparison) -> Iterator[Finding]:
    names: set[str] = set()
    for wrong in one.contradictions:
        if wrong.sort in CONTRADICTING and wrong.name not in names:
            names.add(wrong.name)
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


def _objectives(one: Comparison, causes: Sequence[Finding]) -> Iterator[Finding]:
    """Declarations of which paths are open and miss an objective, unless something wider makes them slow or lossy."""
    groups: dict[tuple[str, str], list[Missed]] = {}
    for miss in one.missed:
        groups.setdefault((miss.name, miss.effect), []).append(miss)
    for (name, effect), some in sorted(groups.items()):
        # A pair alone is what such a path is: it explains nothing.
        wider = [
            cause for cause in causes if (cause.effect == "latency") == (effect == "latency") and cause.scope.kind != "pair"
        ]
        cells = told(one, np.array(sorted({miss.cell for miss in some}), np.int64))
        cells = cells[~explained(one, cells, wider)]
        kept = set(cells.tolist())
        left = [miss for miss in some if miss.cell in kept]
        if not left:
            continue
        first, most = entries(one, cells)[0], worst(left)
        layer = LAYERS[int(one.sample.tables.layer[one.sample.ask[most.cell]])]
        found = finding_of(one, Scope("expectation", name, "both", layer.value), cells, effect, first.severity)
        source = one.sample.tables.sources[int(one.sample.source[most.cell])].name
        target = one.sample.tables.targets[int(one.sample.target[most.cell])].name
        word = "were lost" if effect == "loss" else "took longer"
        yield found._replace(
            layer=layer,
            lost=sum(miss.bad for miss in left),
            sent=sum(miss.of for miss in left),
            span_ns=most.span_ns,
            owner=first.owner,
            expectation=name,
            sentence=(
                f"Expectation {name} misses its {effect} objective of {most.objective} on {len(cells)} paths: "
                f"{most.measured} from {source} to {target}, where {most.bad} of {most.of} probes {word} "
                f"in {most.span_ns / 1e9:.0f} s."
            ),
            against="That so many more probes than the objective allows come by chance.",
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
            found = finding_of(one, Scope("nat", node, "out", Layer.POD.value), np.array(members, np.int64), "nat", "warning")
            yield found._replace(
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
        first = entries(one, cells)[0]
        found = finding_of(one, Scope("expectation", name, "both", Layer.SERVICE.value), cells, "unverifiable", first.severity)
        yield found._replace(
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

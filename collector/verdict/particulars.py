"""What findings about some cells have in common: which cells are told at all, their counts, and the paths that show it.

In: a comparison and some of its cells. Out: those that nothing else explains and nobody has muted, and a finding with numbers.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from collector.expectation.expected import Expectation
from collector.verdict.candidates import ALL, Scope
from collector.verdict.cells import FAMILIES, KINDS, LAYERS, Ints, Mask
from collector.verdict.comparison import Comparison
from collector.verdict.finding import MOST_EVIDENCE, Evidence, Finding, Severity
from wire.path import Layer

CONTRADICTING: Final = frozenset({"policies", "another"})


def told(one: Comparison, cells: Ints) -> Ints:
    """Those that are not muted, and whose declaration is not contradicted: that is told already, and explains them."""
    contradicted = {wrong.name for wrong in one.contradictions if wrong.sort in CONTRADICTING}
    silent = [entry.muted_until_ns > one.wall_ns or entry.name in contradicted for entry in one.answers.every]
    return cells[~np.array(silent or [False], np.bool_)[one.answers.number[cells]]]


def explained(one: Comparison, cells: Ints, causes: Sequence[Finding]) -> Mask:
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
        ahead, behind = ([end.is_of(name) for end in sources] for name in (names[0], names[-1]))
        there, back = ([end.is_of(name) for end in targets] for name in (names[-1], names[0]))
        near = np.array([ahead, behind], np.bool_)[:, sample.source[cells]]
        far = np.array([there, back], np.bool_)[:, sample.target[cells]]
        # Between two ends both of them count: a node that reaches one service badly is no reason for whatever else it asks.
        result |= (near & far).any(axis=0) if len(names) > 1 else near[0] | far[0]
    return result


def entries(one: Comparison, cells: Ints) -> list[Expectation]:
    """What is expected of some cells, each once."""
    return [one.answers.every[number] for number in np.unique(one.answers.number[cells]).tolist()]


def finding_of(one: Comparison, scope: Scope, cells: Ints, effect: str, severity: Severity) -> Finding:
    """A finding about some cells with their counts, by what the effect is shown with: answers or losses."""
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

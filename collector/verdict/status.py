"""How many cells have which verdict: between namespaces, and of each declaration, with its conditions.

In: a comparison. Out: counts. Nothing here names a pod.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import numpy as np

from collector.verdict.comparison import Comparison
from collector.verdict.pair import Verdict

Spaces = tuple[str, str]
"""Namespaces of source and target."""
Counts = tuple[int, ...]
"""By `Verdict`."""
NONE: Final[Counts] = (0,) * len(Verdict)
Truth = Literal["True", "False", "Unknown"]
"""As in the status of an object of Kubernetes."""


class Condition(NamedTuple):
    """One condition, as Kubernetes has them."""

    type: Literal["Satisfied", "Verified", "Consistent"]
    status: Truth
    message: str


class Status(NamedTuple):
    """One declaration."""

    name: str
    kind: str
    expect: str
    severity: str
    owner: str
    counts: Counts
    conditions: tuple[Condition, ...]

    @property
    def satisfied(self) -> bool:
        """Whether all that could be judged of it holds, and something could."""
        return self.conditions[0].status == "True"


def between_namespaces(one: Comparison) -> dict[Spaces, Counts]:
    """Verdicts of the cells between two namespaces, those within one included."""
    sources, targets = one.sample.tables.sources.namespaces, one.sample.tables.targets.namespaces
    near, far = sources.codes[one.sample.source], targets.codes[one.sample.target]
    there = (near >= 0) & (far >= 0)
    wide = max(1, len(targets.words))
    key = (near[there] * wide + far[there]) * len(Verdict) + one.compared.verdict[there]
    counts = np.bincount(key, minlength=len(sources.words) * wide * len(Verdict)).reshape(-1, len(Verdict))
    return {
        (sources.words[pair // wide], targets.words[pair % wide]): tuple(counts[pair].tolist())
        for pair in np.flatnonzero(counts.any(axis=1)).tolist()
    }


def statuses(one: Comparison) -> tuple[Status, ...]:
    """Every declaration, in the order in which they were declared."""
    every = one.answers.every
    counts: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    if every:
        by_number = np.bincount(
            one.answers.number * len(Verdict) + one.compared.verdict, minlength=len(every) * len(Verdict)
        ).reshape(-1, len(Verdict))
        for number, entry in enumerate(every):
            if entry.name:
                counts[entry.name] = counts.get(entry.name, np.zeros(len(Verdict), np.int64)) + by_number[number]
    wrong: dict[str, list[str]] = {}
    for contradiction in one.contradictions:
        wrong.setdefault(contradiction.name, []).append(contradiction.because)
    result = []
    for declared in one.expectations.declared:
        spec = declared.spec
        found: Counts = tuple(counts[declared.name].tolist()) if declared.name in counts else NONE
        conditions = _conditions(found, wrong.get(declared.name, []))
        result.append(Status(declared.name, declared.kind, spec.expect, spec.severity, spec.owner, found, conditions))
    return tuple(result)


def _conditions(counts: Counts, wrong: list[str]) -> tuple[Condition, ...]:
    bad = {word: counts[verdict] for word, verdict in (("broken", Verdict.BROKEN), ("open", Verdict.LEAK)) if counts[verdict]}
    good = counts[Verdict.OK] + counts[Verdict.DEGRADED]
    unsure = counts[Verdict.UNVERIFIABLE] + counts[Verdict.UNKNOWN] + counts[Verdict.TARGET_DOWN]
    said = ", ".join(f"{count} {word}" for word, count in bad.items())
    satisfied: Truth = "False" if bad else "True" if good else "Unknown"
    verified: Truth = "True" if good + sum(bad.values()) and not unsure else "False" if unsure else "Unknown"
    return (
        Condition("Satisfied", satisfied, said or f"{good} paths are as expected"),
        Condition("Verified", verified, f"{unsure} paths could not be proven" if unsure else f"{good} paths were judged"),
        Condition("Consistent", "False" if wrong else "True", "; ".join(wrong) or "nothing contradicts it"),
    )


def mismatching(pairs: Mapping[Spaces, Counts]) -> list[tuple[tuple[str, str, str], int]]:
    """(source, target, `broken` or `leak`) and how many, of those pairs of namespaces that have any."""
    return [
        ((*spaces, word), counts[verdict])
        for spaces, counts in sorted(pairs.items())
        for word, verdict in (("broken", Verdict.BROKEN), ("leak", Verdict.LEAK))
        if counts[verdict]
    ]

"""How many cells have which verdict: between namespaces, and of each declaration, with its conditions.

In: a comparison. Out: counts. Nothing here names a pod.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import numpy as np

from collector.verdict.cells import Expected, chunks
from collector.verdict.comparison import Comparison
from collector.verdict.expecting import question
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
    wide = len(targets.words) + 1  # in front of all others is what has no namespace
    ahead, behind = (sources.codes + 1) * (wide * len(Verdict)), (targets.codes + 1) * len(Verdict)
    counts = np.zeros((len(sources.words) + 1) * wide * len(Verdict), np.int64)
    for here in chunks(len(one.sample)):
        key = ahead.take(one.sample.source[here]) + behind.take(one.sample.target[here])
        counts += np.bincount(key + one.compared.verdict[here], minlength=len(counts))
    by_pair = counts.reshape(-1, wide, len(Verdict))[1:, 1:]
    return {
        (sources.words[near], targets.words[far]): tuple(by_pair[near, far].tolist())
        for near, far in np.argwhere(by_pair.any(axis=2)).tolist()
    }


class Reach(NamedTuple):
    """What should be, and is, between two namespaces over one protocol, port and family."""

    expected: int
    """1 for open, 0 for closed."""
    observed: float
    """Share of the paths that are open."""


ReachKey = tuple[str, str, str, str, str, str]
"""Namespaces of source and target, protocol, port, family, and what says so."""


def reach(one: Comparison) -> dict[ReachKey, Reach]:
    """Of the cells of which anybody says something and that were probed: declared, or by a policy."""
    sample, every = one.sample, one.answers.every
    telling = np.array([entry.source != "none" for entry in every] or [False], np.bool_)
    if not telling.any():
        return {}
    known = (one.answers.answer == Expected.ALLOW) | (one.answers.answer == Expected.DENY)
    sources, targets = sample.tables.sources.namespaces, sample.tables.targets.namespaces
    cells = np.flatnonzero(telling.take(one.answers.number) & known & (one.compared.sent > 0))
    cells = cells[(sources.codes[sample.source[cells]] >= 0) & (targets.codes[sample.target[cells]] >= 0)]
    near, far = sources.codes[sample.source[cells]], targets.codes[sample.target[cells]]
    words = [entry.source for entry in every]
    kinds = sorted(set(words))
    said = np.array([kinds.index(word) for word in words] or [0], np.int64)
    asked = [question(ask) for ask in sample.tables.asks]
    numbers = {ask: number for number, ask in enumerate(dict.fromkeys(asked))}
    connection = np.array([numbers[ask] for ask in asked] or [0], np.int64)
    sizes = (len(sources.words), len(targets.words), max(1, len(numbers)), max(1, len(kinds)), 2)
    deny = (one.answers.answer[cells] == Expected.DENY).astype(np.int64)
    columns = (near, far, connection[sample.ask[cells]], said[one.answers.number[cells]], deny)
    key = np.ravel_multi_index(columns, sizes) if len(cells) else np.zeros(0, np.int64)
    found, inverse = np.unique(key, return_inverse=True)
    paths = np.bincount(inverse, minlength=len(found))
    opened = np.bincount(inverse, one.compared.reached[cells] > 0, len(found))
    questions = list(numbers)
    result: dict[ReachKey, Reach] = {}
    for place, number in enumerate(found.tolist()):
        one_near, one_far, ask, kind, closed = (int(part) for part in np.unravel_index(number, sizes))
        how = questions[ask]
        names = (
            sources.words[one_near],
            targets.words[one_far],
            how.protocol,
            str(how.port or ""),
            how.family.value,
            kinds[kind],
        )
        result[names] = Reach(1 - closed, round(float(opened[place] / paths[place]), 4))
    return result


def unknown(one: Comparison) -> dict[str, int]:
    """How many cells nobody says anything certain of, by `unspecified` and `unknown`."""
    return {
        expected.name.lower(): int(np.count_nonzero(one.answers.answer == expected))
        for expected in (Expected.UNSPECIFIED, Expected.UNKNOWN)
    }


def statuses(one: Comparison) -> tuple[Status, ...]:
    """Every declaration, in the order in which they were declared."""
    every = one.answers.every
    counts: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    if any(entry.name for entry in every):
        by_number = np.bincount(
            one.answers.number * len(Verdict) + one.compared.verdict, minlength=len(every) * len(Verdict)
        ).reshape(-1, len(Verdict))
        for number, entry in enumerate(every):
            if entry.name:
                counts[entry.name] = counts.get(entry.name, np.zeros(len(Verdict), np.int64)) + by_number[number]
    wrong: dict[str, list[str]] = {}
    for contradiction in one.contradictions:
        wrong.setdefault(contradiction.name, []).append(contradiction.because)
    missed = Counter(miss.name for miss in one.missed)
    result = []
    for declared in one.expectations.declared:
        spec = declared.spec
        found: Counts = tuple(counts[declared.name].tolist()) if declared.name in counts else NONE
        conditions = _conditions(found, wrong.get(declared.name, []), missed[declared.name])
        result.append(Status(declared.name, declared.kind, spec.expect, spec.severity, spec.owner, found, conditions))
    return tuple(result)


def _conditions(counts: Counts, wrong: list[str], missed: int) -> tuple[Condition, ...]:
    bad = {word: counts[verdict] for word, verdict in (("broken", Verdict.BROKEN), ("open", Verdict.LEAK)) if counts[verdict]}
    bad |= {"beyond an objective": missed} if missed else {}
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

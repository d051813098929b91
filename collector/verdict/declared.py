"""What declarations say beyond allow and deny: that one target is enough, and that a pod that has just come has time.

In: what was compared, pass after pass. Out: the same with cells that nobody misses, and with those that are too young to judge.
A pod that is open under a policy that closes it has no time: it leaks from its first moment (NetworkPolicy, "Pod lifecycle").
"""

from dataclasses import replace
from typing import Final

import numpy as np

from collector.matrix.histograms import Ids, Mask
from collector.verdict.cells import Expected, Ints, Small
from collector.verdict.expecting import Answers
from collector.verdict.pair import Compared, Verdict
from collector.verdict.sample import Sample

BAD: Final = (Verdict.BROKEN, Verdict.TARGET_DOWN)
GOOD: Final = (Verdict.OK, Verdict.DEGRADED)
LONG_NS: Final = 3601 * 10**9
"""Longer than any grace."""


class Declared:
    """See the module; it remembers since when declared paths exist."""

    def __init__(self) -> None:
        self._paths: Ids = np.zeros(0, np.uint64)
        self._first_ns: Ints = np.zeros(0, np.int64)
        self._began = False

    def judged(self, sample: Sample, answers: Answers, compared: Compared) -> tuple[Compared, Mask]:
        """After another pass; and which cells are bad while another target is enough."""
        named = np.array([entry.name != "" for entry in answers.every] or [False], np.bool_)
        if not named.any():
            self._paths = self._paths[:0]
            return compared, np.zeros(len(sample), np.bool_)
        cells = np.flatnonzero(named[answers.number] & (answers.answer == Expected.ALLOW))
        verdict, grace = compared.verdict.copy(), compared.grace.copy()
        young = cells[self._young(sample, answers, cells)]
        young = young[np.isin(verdict[young], BAD)]
        verdict[young], grace[young] = Verdict.UNKNOWN, True
        enough = _enough(sample, answers, cells, verdict)
        verdict[enough] = Verdict.OK
        missed = np.zeros(len(sample), np.bool_)
        missed[enough] = True
        return replace(compared, verdict=verdict, grace=grace), missed

    def _young(self, sample: Sample, answers: Answers, cells: Ints) -> Mask:
        """Which of some cells are younger than their declarations give a pod time; none is of those that we begin with."""
        order = cells[np.argsort(sample.paths[cells])]
        paths = sample.paths[order]
        first = np.full(len(paths), sample.now_ns if self._began else sample.now_ns - LONG_NS, np.int64)
        if len(self._paths):
            place = np.minimum(np.searchsorted(self._paths, paths), len(self._paths) - 1)
            there = self._paths[place] == paths
            first[there] = self._first_ns[place[there]]
        self._paths, self._first_ns, self._began = paths, first, True
        grace = np.array([entry.start_grace_ns for entry in answers.every], np.int64)[answers.number[order]]
        since = np.zeros(len(sample), np.bool_)
        since[order] = sample.now_ns - first < grace
        result: Mask = since[cells]
        return result


def _enough(sample: Sample, answers: Answers, cells: Ints, verdict: Small) -> Ints:
    """The bad ones of some cells whose source reaches another target of the same declaration, where any is enough."""
    every = answers.every
    names = {name: place for place, name in enumerate(sorted({entry.name for entry in every if entry.match == "any"} - {""}))}
    if not names:
        return cells[:0]
    of_entry = np.array([names.get(entry.name, -1) if entry.match == "any" else -1 for entry in every], np.int64)
    some = cells[of_entry[answers.number[cells]] >= 0]
    key = of_entry[answers.number[some]] * max(1, len(sample.tables.sources)) + sample.source[some]
    reached = np.unique(key[np.isin(verdict[some], GOOD)])
    result: Ints = some[np.isin(verdict[some], BAD) & np.isin(key, reached)]
    return result

"""Declared objectives of loss and latency against what was measured, each path over the window that its objective names.

In: a sample that has those windows, what is expected, and which cells are judged. Out: the paths that miss an objective, with
the numbers. A path misses one only where chance does not explain it: with an objective of 1 %, one lost probe of sixty is none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.duration import Duration
from collector.expectation.expected import Expectation
from collector.matrix.histograms import Histograms, Ids, quantiles
from collector.policy.evaluate import Answer
from collector.verdict.cells import Ints, Mask
from collector.verdict.expecting import Answers
from collector.verdict.sample import Sample, Windows
from wire.histogram import UPPER_NS

MOST_PATHS: Final = 20_000
"""Most paths whose windows are read; the objectives of others are not judged."""
SURE: Final = 7.0
"""Nats by which what was seen must speak against an objective: by chance once in a thousand times (Chernoff bound)."""
LEAST: Final = 2
"""Probes that must be lost or late, at least."""
RECENT_NS: Final = 20 * 10**9
"""What has ceased is no longer told, however long the window is: where so recently as many probes should have been bad as
SEVERAL, by what the window says, one must have been."""
SEVERAL: Final = 3.0
LOWER_NS: Final = np.array([0.0, *UPPER_NS[:-1]])
"""Of each place of the histogram: what all in it took at least."""

Effect = Literal["loss", "latency"]


class Missed(NamedTuple):
    """One path that misses an objective."""

    cell: int
    name: str
    """Of its declaration."""
    effect: Effect
    bad: int
    """Probes that were lost, or answers that took too long."""
    of: int
    span_ns: int
    objective: str
    """In words, such as `p95 of 20ms`."""
    measured: str
    """The same of what was measured."""
    excess: float
    """By how much, as a multiple."""


def windows_of(sample: Sample, answers: Answers) -> Mapping[int, Ids]:
    """The paths that have objectives, by the window in nanoseconds over which they have them."""
    found: dict[int, list[Ids]] = {}
    left = MOST_PATHS
    for number, entry in enumerate(answers.every):
        lengths = _lengths(entry) if entry.slo is not None else ()
        if lengths and entry.answer is Answer.ALLOW:
            paths = sample.paths[answers.number == number][:left]
            left -= len(paths)
            for length_ns in {*lengths, RECENT_NS}:
                found.setdefault(length_ns, []).append(paths)
    return {length_ns: np.unique(np.concatenate(parts)) for length_ns, parts in sorted(found.items())}


def missed(sample: Sample, answers: Answers, judged: Mask) -> tuple[Missed, ...]:
    """All paths that miss an objective; `judged` are the cells that are to be open and of which something can be said."""
    windows = sample.windows
    if not len(windows.paths):
        return ()
    order = np.argsort(sample.paths)
    place = np.minimum(np.searchsorted(sample.paths, windows.paths, sorter=order), len(order) - 1)
    cells: Ints = order[place]
    there = (sample.paths[cells] == windows.paths) & judged[cells]
    found: list[Missed] = []
    for number in np.unique(answers.number[cells[there]]).tolist():
        entry = answers.every[number]
        mine = there & (answers.number[cells] == number)
        found += _loss(sample, entry, cells, mine & (windows.asked_ns == _window(entry, "loss")))
        found += _latency(sample, entry, cells, mine & (windows.asked_ns == _window(entry, "latency")))
    return tuple(found)


def _window(entry: Expectation, effect: Effect) -> int:
    objective = None if entry.slo is None else entry.slo.loss if effect == "loss" else entry.slo.latency
    return -1 if objective is None else int(objective.window)


def _lengths(entry: Expectation) -> set[int]:
    return {_window(entry, "loss"), _window(entry, "latency")} - {-1}


def _loss(sample: Sample, entry: Expectation, cells: Ints, which: Mask) -> Iterator[Missed]:
    windows, slo = sample.windows, entry.slo
    if slo is None or slo.loss is None or not which.any():
        return
    beyond = which & _beyond(windows.lost, windows.sent, slo.loss.ratio)
    beyond &= _goes_on(windows, windows.lost, windows.sent)
    for element in np.flatnonzero(beyond).tolist():
        lost, sent = int(windows.lost[element]), int(windows.sent[element])
        yield Missed(
            int(cells[element]),
            entry.name,
            "loss",
            lost,
            sent,
            sample.now_ns - int(windows.start_ns[element]),
            f"at most {slo.loss.most} lost",
            f"{lost / sent:.1%}",
            lost / sent / max(slo.loss.ratio, 1e-6),
        )


def _latency(sample: Sample, entry: Expectation, cells: Ints, which: Mask) -> Iterator[Missed]:
    """Each path by the first quantile that it misses."""
    windows, slo = sample.windows, entry.slo
    if slo is None or slo.latency is None or not which.any():
        return
    groups, left = len(windows.paths), which.copy()
    of = _counted(windows.latency, np.ones(len(windows.latency.group), np.bool_), groups)
    for quantile, most in slo.latency.quantiles.items():
        slow = _counted(windows.latency, LOWER_NS[windows.latency.place] >= int(most), groups)
        beyond = left & _beyond(slow, of, 1 - quantile) & _goes_on(windows, slow, of)
        left &= ~beyond
        if not beyond.any():
            continue
        every_ns = quantiles(windows.latency, quantile, groups=groups)
        for element in np.flatnonzero(beyond).tolist():
            took_ns = every_ns.item(element)
            word = f"p{quantile * 100:.0f}"
            yield Missed(
                int(cells[element]),
                entry.name,
                "latency",
                int(slow[element]),
                int(of[element]),
                sample.now_ns - int(windows.start_ns[element]),
                f"{word} of {Duration(most)}",
                f"{took_ns / 1e6:.1f} ms",
                took_ns / int(most),
            )


def _counted(latency: Histograms, which: Mask, groups: int) -> Ints:
    return np.bincount(latency.group[which], latency.count[which], groups).astype(np.int64)


def _beyond(bad: Ints, of: Ints, allowed: float) -> NDArray[Any]:
    """Where so many are more than chance brings if this share is allowed (Kullback-Leibler divergence, in nats)."""
    allowed = min(max(allowed, 1e-6), 1 - 1e-6)
    total = np.maximum(of, 1)
    share = np.clip(bad / total, 1e-9, 1 - 1e-9)
    nats = total * (share * np.log(share / allowed) + (1 - share) * np.log((1 - share) / (1 - allowed)))
    return (bad >= LEAST) & (bad > allowed * total) & (nats > SURE)


def _goes_on(windows: Windows, bad: Ints, of: Ints) -> Mask:
    """Where what a window shows has not ceased since."""
    recent = np.flatnonzero(windows.asked_ns == RECENT_NS)
    order = recent[np.argsort(windows.paths[recent])]
    if not len(order):
        return np.ones(len(windows.paths), np.bool_)
    place = np.minimum(np.searchsorted(windows.paths[order], windows.paths), len(order) - 1)
    mine = order[place]
    ceased = (of[mine] * (bad / np.maximum(of, 1)) >= SEVERAL) & (bad[mine] == 0) & (windows.paths[mine] == windows.paths)
    result: Mask = ~ceased
    return result


def worst(some: Sequence[Missed]) -> Missed:
    """The one that misses its objective by most."""
    return max(some, key=lambda one: one.excess)

"""The arrays against a slow and obvious model: a list of all windows, and dictionaries made of it for each question."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.matrix.query import cells
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, paths_of, plans_of, report_of, window
from wire.histogram import bucket_of, quantile_ns
from wire.outcome import Outcome
from wire.path import Path
from wire.window import HIGHEST, Flag, Measure, Window

STALE_NS = 3 * SECOND
RETENTION_NS = 20 * SECOND
ASIDE = Flag.UNCONFIRMED | Flag.ILL
NAMES = ("n1", "n2")
PATHS: dict[str, list[Path]] = {name: paths_of(SNAPSHOT, name) for name in NAMES}


class Model:
    """Every window ever taken, with when it ended and when it counts."""

    def __init__(self) -> None:
        self.planned = {name: list(PATHS[name]) for name in NAMES}
        self.windows: dict[int, list[tuple[int, int, Window]]] = {path.id: [] for name in NAMES for path in PATHS[name]}
        self.heard: dict[str, int] = {}

    def take(self, name: str, windows: list[Window], *, now_ns: int, age_ns: int, span_ns: int, merged: bool) -> None:
        end_ns = now_ns - age_ns
        for one in windows:
            self.windows[one.path].append((end_ns, end_ns - span_ns if merged else end_ns, one))
        self.heard[name] = now_ns

    def expected(self, name: str, path: Path, *, now_ns: int, start_ns: int | None) -> dict[str, Any]:
        taken = self.windows[path.id]
        counted = [one for _, when_ns, one in taken if start_ns is None or when_ns > start_ns]
        good = [one for one in counted if not one.flags & ASIDE]
        measures: Counter[str] = Counter()
        for one in good:
            measures.update({measure.name.lower(): n for measure, n in one.measures.items() if measure not in HIGHEST})
        sent = sum(one.sent for one in good)
        newest_good_ns = max((end for end, _, one in taken if one.sent and not one.flags & ASIDE), default=None)
        heard = self.heard.get(name)
        if path not in self.planned[name]:
            state = "unsampled"
        elif sent and newest_good_ns is not None and newest_good_ns > now_ns - STALE_NS and heard and heard > now_ns - STALE_NS:
            state = "measured"
        else:
            state = "unknown"
        return {
            "sent": sent,
            "received": sum(one.received for one in good),
            "late": sum(one.late for one in good),
            "failed": _words(one.failed for one in good),
            "local": _words(one.local for one in good),
            "set_aside": {
                "unconfirmed": sum(one.sent for one in counted if one.flags & ASIDE == Flag.UNCONFIRMED),
                "ill": sum(one.sent for one in counted if one.flags & Flag.ILL),
            },
            "measures": dict(measures),
            "state": state,
            "age_seconds": round((now_ns - max(end for end, _, _ in taken)) / 1e9, 3) if taken else None,
        }

    def median_us(self, path: Path, start_ns: int) -> float | None:
        """Over a span, to a bucket."""
        histogram: Counter[int] = Counter()
        for _, when_ns, one in self.windows[path.id]:
            if when_ns > start_ns and not one.flags & ASIDE:
                histogram.update(one.latency)
        median = quantile_ns(histogram, 0.5)
        return None if median is None else median / 1000


def _words(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update({outcome.word: n for outcome, n in count.items()})
    return dict(total)


# Which of the paths of a vantage had windows, and what was in each.
latencies = st.lists(st.sampled_from([60_000, 61_000, 200_000, 5_000_000]), max_size=5)
words = st.dictionaries(st.sampled_from([Outcome.TIMEOUT, Outcome.REFUSED]), st.integers(1, 4), max_size=2)
locally = st.dictionaries(st.sampled_from([Outcome.SKIPPED, Outcome.NO_FD]), st.integers(1, 300), max_size=1)
measured = st.dictionaries(st.sampled_from([Measure.FORWARD_LOST, Measure.DUPLICATES]), st.integers(1, 4), max_size=2)
flags = st.sampled_from([Flag.NONE, Flag.NONE, Flag.NONE, Flag.NAT, Flag.UNCONFIRMED, Flag.ILL, Flag.ILL | Flag.UNCONFIRMED])
windows = st.tuples(latencies, st.integers(0, 2), words, locally, flags, measured)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("report"),
            st.sampled_from(NAMES),
            st.dictionaries(
                st.integers(0, 7), st.tuples(latencies, st.integers(0, 2), words, locally, flags, measured), max_size=4
            ),
            st.sampled_from([0, 0, 0, 900, 4_000, 30_000]),
            st.booleans(),
        ),
        st.tuples(st.just("lay"), st.sampled_from(NAMES), st.sets(st.integers(0, 7), max_size=3)),
        st.tuples(st.just("wait"), st.integers(1, 9_000)),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(steps, st.integers(1, 20))
def test_a_cell_is_what_a_list_of_all_windows_says(sequence: list[Any], span_seconds: int) -> None:
    matrix, model, now_ns = matrix_of(retention_ns=RETENTION_NS), Model(), 1000 * SECOND
    for step in sequence:
        match step:
            case ("wait", milliseconds):
                now_ns += milliseconds * 1_000_000
            case ("lay", name, without):
                model.planned[name] = [path for number, path in enumerate(PATHS[name]) if number not in without]
                plan = plans_of()[name]
                kept = tuple(item for item in plan.paths if item.path in model.planned[name])
                _stay(matrix, model, name)
                matrix.lay(name, msgspec.structs.replace(plan, paths=kept))
            case ("report", name, windows, age_ms, merged):
                made = [
                    window(PATHS[name][n].id, got, late=late, failed=failed, local=local, flags=flag, measures=measures)
                    for n, (got, late, failed, local, flag, measures) in windows.items()
                    if PATHS[name][n] in model.planned[name]
                ]
                report = report_of(name, made, age_ns=age_ms * 1_000_000, span_ns=5 * SECOND)
                report = msgspec.structs.replace(report, merged=2 if merged else 1)
                matrix.apply(report, arrived_ns=now_ns, counted=True)
                model.take(name, made, now_ns=now_ns, age_ns=report.age_ns, span_ns=report.span_ns, merged=merged)
    span = matrix.span(now_ns, span_seconds * SECOND)
    for span_ns, start_ns in ((None, None), (span_seconds * SECOND, span.start_ns)):
        found = {int(cell["path"], 16): cell for cell in cells(matrix, now_ns, span_ns=span_ns)}
        for name in NAMES:
            for path in model.planned[name]:
                expected = model.expected(name, path, now_ns=now_ns, start_ns=start_ns)
                cell = found[path.id]
                assert {key: cell[key] for key in expected} == expected
                if start_ns is not None:
                    median_us = model.median_us(path, start_ns)
                    assert (cell["p50_us"] is None) == (median_us is None)
                    if median_us is not None:
                        assert abs(bucket_of(int(cell["p50_us"] * 1000)) - bucket_of(int(median_us * 1000))) <= 1


def _stay(matrix: Any, model: Model, name: str) -> None:
    """Forget in the model what a row forgets of cells that left long ago and come back."""
    planned = {path.id for path in model.planned[name]}
    row = matrix.table.rows[name]
    there = set(row.slab.ids[row.cells].tolist())
    for path in PATHS[name]:
        if path.id in planned and path.id not in there:
            model.windows[path.id] = []

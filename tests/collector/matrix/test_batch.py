import dataclasses
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.matrix.batch import NOTHING, REASONS, Batch, Inconsistent, Planned
from collector.matrix.checked import _walked, closely, read
from collector.matrix.plain import plain
from tests.collector.small_cluster import SECOND, window
from wire.outcome import Outcome
from wire.report import Columns, pack
from wire.window import Measure, Window

PLANNED = Planned(
    path=np.array([10, 20, 30], np.uint64),
    present=np.ones(3, np.uint8),
    shortest_ms=np.full(3, 1000),
    longest_ms=np.full(3, 1000),
)
GOOD = window(20, [50_000, 70_000, 90_000], late=1, failed={Outcome.TIMEOUT: 2}, local={Outcome.SKIPPED: 3})


def batch_of(*windows: Window, span_ns: int = 10 * SECOND) -> Batch:
    return read(pack(windows), span_ns=span_ns, planned=PLANNED)


def changed(**columns: bytes) -> Columns:
    return msgspec.structs.replace(pack([GOOD, window(10)]), **columns)


def test_windows_become_columns_of_their_cells_in_any_order() -> None:
    batch = batch_of(GOOD, window(10, [1_000_000], measures={Measure.DUPLICATES: 4}))
    assert batch.cell.tolist() == [1, 0]
    assert batch.received.tolist() == [3, 1]
    assert (batch.late.tolist(), batch.failed.tolist(), batch.local.tolist()) == ([1, 0], [2, 0], [3, 0])
    assert batch.latency_count.sum() == 4
    assert (batch.measure_entry.tolist(), batch.measure_value.tolist()) == ([1], [4])


def test_unknown_paths_are_left_out_with_all_they_have_and_counted() -> None:
    batch = batch_of(window(99, [5000] * 4, failed={Outcome.RESET: 1}, measures={Measure.DUPLICATES: 1}), GOOD)
    assert batch.unknown_paths == 1
    assert batch.cell.tolist() == [1]
    assert batch.outcome_entry.tolist() == [0, 0]
    assert set(batch.latency_entry.tolist()) == {0}
    assert batch.measure_entry.tolist() == []


def test_a_vantage_without_a_plan_has_only_unknown_paths() -> None:
    batch = read(pack([GOOD]), span_ns=SECOND, planned=NOTHING)
    assert (len(batch), batch.unknown_paths) == (0, 1)
    assert len(read(Columns(), span_ns=SECOND, planned=PLANNED)) == 0


def test_a_cell_that_is_there_no_more_takes_no_window() -> None:
    gone = dataclasses.replace(PLANNED, present=np.array([1, 0, 1], np.uint8))
    batch = read(pack([window(10), GOOD]), span_ns=10 * SECOND, planned=gone)
    assert (batch.cell.tolist(), batch.unknown_paths) == ([0], 1)


def test_words_of_a_newer_agent_are_skipped_and_counted() -> None:
    batch = read(changed(outcome_code=bytes([63, 200])), span_ns=10 * SECOND, planned=PLANNED)
    assert batch.unknown_codes == 2
    assert batch.failed.sum() == batch.local.sum() == 0


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "an index out of range": ("index", {"outcome_entry": struct.pack("<2I", 0, 2)}),
    "a latency index out of range": ("index", {"latency_entry": struct.pack("<I", 4) * 3}),
    "one path twice": ("duplicate_path", {"path": struct.pack("<2Q", 10, 10)}),
    "latencies that do not add up": ("histogram", {"received": struct.pack("<2I", 4, 0)}),
    "a bucket that does not exist": ("bucket", {"latency_bucket": struct.pack("<h", 57) * 3}),
    "a bucket far from the extremes": ("bucket", {"latency_bucket": struct.pack("<h", 0) * 3}),
    "a mean below the minimum": ("latency", {"sum_ns": struct.pack("<2Q", 149_999, 0)}),
    "a mean above the maximum": ("latency", {"sum_ns": struct.pack("<2Q", 270_001, 0)}),
    "a minimum above the maximum": ("latency", {"min_ns": struct.pack("<2Q", 90_001, 0)}),
    "latencies without an answer": ("latency", {"max_ns": struct.pack("<2Q", 90_000, 1)}),
    "a latency beyond the waiting time": ("absurd", {"max_ns": struct.pack("<2Q", 4 * SECOND, 0)}),
    "a sum that would overflow": ("absurd", {"sum_ns": struct.pack("<2Q", 2**64 - 1, 0)}),
    "a count that would overflow": ("absurd", {"late": struct.pack("<2I", 2**32 - 1, 0)}),
    "a thousand million probes a second": ("absurd", {"outcome_count": struct.pack("<2I", 10**9, 1)}),
    "more probes than the span allows": ("absurd", {"late": struct.pack("<2I", 0, 61)}),
    "late answers as a failure": ("outcome", {"outcome_code": bytes([16, 70])}),
}


@pytest.mark.parametrize(("reason", "columns"), BAD.values(), ids=BAD)
def test_survive_49_absurd_values_are_refused_with_a_word(reason: str, columns: dict[str, bytes]) -> None:
    read(changed(), span_ns=10 * SECOND, planned=PLANNED)
    with pytest.raises(Inconsistent) as caught:
        read(changed(**columns), span_ns=10 * SECOND, planned=PLANNED)
    assert caught.value.reason == reason
    assert reason in REASONS


SENT, LOST, REFUSED, TOTAL = Measure.BURST_SENT, Measure.BURST_LOST, Measure.BURST_REFUSED, Measure.BURST_NS


@pytest.mark.parametrize(
    "measures",
    [
        {SENT: 41},
        {SENT: 2**53},
        {LOST: 1},
        {SENT: 5, LOST: 6},
        {SENT: 5, LOST: 2, REFUSED: 3},
        {SENT: 5, LOST: 5, TOTAL: 1},
        {SENT: 1, TOTAL: 61 * 10**9},
    ],
    ids=str,
)
def test_survive_49_a_burst_that_no_agent_sends_is_refused(measures: dict[Measure, int]) -> None:
    with pytest.raises(Inconsistent):
        batch_of(window(10, measures=measures))


def test_a_burst_within_the_limits_is_believed_and_is_no_part_of_what_was_sent() -> None:
    batch = batch_of(window(10, [1_000_000], measures={SENT: 20, LOST: 3, REFUSED: 3, TOTAL: 17_000_000}))
    assert (batch.received.tolist(), batch.measure_value.sum()) == ([1], 20 + 3 + 3 + 17_000_000)


def test_a_measure_beyond_belief_is_refused() -> None:
    with pytest.raises(Inconsistent, match="measure"):
        batch_of(window(10, measures={Measure.RETRANSMITS: 2**60}))


def test_windows_merged_over_a_long_absence_are_believed() -> None:
    assert batch_of(window(10, late=1800), span_ns=1800 * SECOND).late.tolist() == [1800]


def test_what_the_wire_can_pack_is_never_called_inconsistent() -> None:
    latencies = [1, 949, 955, 10**6, 999_999_999]
    assert len(batch_of(*(window(path, latencies[:count]) for path, count in ((10, 5), (20, 1), (30, 2))))) == 3


@settings(max_examples=60)
@given(st.data())
def test_survive_50_columns_of_noise_are_refused_or_harmless(data: st.DataObject) -> None:
    """Whatever the bytes are: Inconsistent, or a batch whose numbers hold together. Never another error."""
    good = changed()
    noise = {}
    for name in data.draw(st.sets(st.sampled_from(sorted(set(Columns.__struct_fields__) - {"facts"})), max_size=3)):
        length = len(getattr(good, name))
        noise[name] = data.draw(st.binary(min_size=length, max_size=length))
    try:
        batch = read(msgspec.structs.replace(good, **noise), span_ns=10 * SECOND, planned=PLANNED)
    except Inconsistent as error:
        batch, reason = batch_of(), error.reason
    else:
        reason = REASONS[0]
    assert reason in REASONS
    assert batch.latency_count.sum() == batch.received.sum()
    assert (batch.received + batch.late + batch.failed).max(initial=0) <= 60
    assert set(batch.cell.tolist()) <= {0, 1, 2}


def test_survive_50_five_thousand_entries_are_a_batch_and_not_five_thousand_objects() -> None:
    paths = np.arange(5000, dtype=np.uint64)
    planned = Planned(paths, np.ones(5000, np.uint8), np.full(5000, 1000), np.full(5000, 1000))
    batch = read(pack([window(int(path), [50_000, 60_000]) for path in paths[::-1]]), span_ns=10 * SECOND, planned=planned)
    assert batch.cell.tolist() == list(range(4999, -1, -1))
    assert batch.received.sum() == 10_000


def test_of_many_paths_those_that_are_there_no_more_or_never_were_are_left_out_and_the_others_keep_their_numbers() -> None:
    paths = np.arange(0, 4000, 2, dtype=np.uint64)
    present = np.ones(2000, np.uint8)
    present[[7, 1999]] = 0
    planned = Planned(paths, present, np.full(2000, 1000), np.full(2000, 1000))
    for strange in ((), (101,)):
        reported = sorted({*range(0, 4000, 2), *strange} - {50, 52, 3000})
        batch = read(pack([window(path, [50_000]) for path in reported]), span_ns=10 * SECOND, planned=planned)
        assert batch.cell.tolist() == sorted({*range(2000)} - {7, 25, 26, 1500, 1999})
        assert batch.unknown_paths == 2 + len(strange)


# Latencies, late answers, losses, own failures, measures of each path.
one_bucket = st.tuples(
    st.lists(st.sampled_from([50_000, 50_001]), max_size=3),
    st.integers(0, 1),
    st.dictionaries(st.sampled_from([Outcome.TIMEOUT, Outcome.REFUSED]), st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from([Outcome.SKIPPED]), st.integers(1, 3), max_size=1),
    st.dictionaries(st.sampled_from([Measure.DUPLICATES, Measure.FORWARD_LOST]), st.integers(0, 5), max_size=2),
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from([10, 20, 30]), one_bucket, min_size=1), st.data())
def test_plain_latencies_are_what_they_are_when_looked_at_closely(made: dict[int, Any], data: st.DataObject) -> None:
    """With bytes changed, too: nothing is plain that would be refused."""
    columns = pack(
        [
            window(path, got, late=late, failed=failed, local=local, measures=measures)
            for path, (got, late, failed, local, measures) in sorted(made.items())
        ]
    )
    assert plain(columns, received_of(columns)) is not None
    name = data.draw(st.sampled_from(sorted({"received", "latency_entry", "latency_bucket", "latency_count", *EXTREMES})))
    if before := getattr(columns, name):
        place, value = data.draw(st.integers(0, len(before) - 1)), data.draw(st.integers(0, 255))
        columns = msgspec.structs.replace(columns, **{name: before[:place] + bytes([value]) + before[place + 1 :]})
    quick = plain(columns, received_of(columns))
    if quick is not None:
        for found, wanted in zip(quick, closely(columns, received_of(columns)), strict=True):
            assert np.array_equal(found, wanted)


EXTREMES = ("sum_ns", "min_ns", "max_ns")


def received_of(columns: Columns) -> Any:
    return np.frombuffer(columns.received, "<u4")


@given(st.sets(st.integers(1, 60), min_size=1), st.data())
def test_paths_are_found_by_going_along_where_they_are_by_looking_up(known: set[int], data: st.DataObject) -> None:
    """More than a few gaps, or a path that nobody planned, are left to the other way; never is another number found."""
    planned = np.array(sorted(known), np.uint64)
    paths = np.array(sorted(data.draw(st.sets(st.integers(1, 60), min_size=1))), np.uint64)
    number = _walked(paths, planned)
    if number is not None:
        assert planned[number].tolist() == paths.tolist()
    elif set(paths.tolist()) <= known:
        assert np.count_nonzero(np.diff(planned.searchsorted(paths), prepend=-1) > 1) >= 7

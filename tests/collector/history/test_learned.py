"""What was learned survives as bytes, and nothing else does."""

import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.history import learned as learned_module
from collector.history.learned import packed, unpacked
from collector.verdict.history import MOST_LEARNED, History, Learned

SECOND = 10**9
TIMES = np.array([1_800_000_000, 1_800_003_600, 1_800_000_100], np.int64) * SECOND
LEARNED = Learned(np.array([3, 2**63, 2**64 - 1], np.uint64), TIMES, TIMES + 60 * SECOND, "abc")


def test_what_is_packed_is_unpacked() -> None:
    found = unpacked(packed(LEARNED))
    assert found is not None
    assert found.rules == "abc"
    for before, after in zip(LEARNED[:3], found[:3], strict=True):
        assert np.array_equal(before, after)


def test_what_contradicts_itself_is_as_none() -> None:
    for wrong in (
        LEARNED._replace(paths=LEARNED.paths[::-1]),
        LEARNED._replace(paths=LEARNED.paths[:2]),
        LEARNED._replace(last_ns=TIMES - 60 * SECOND),
    ):
        assert unpacked(packed(wrong)) is None


def test_what_another_version_has_written_or_is_too_long_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    body = msgspec.msgpack.decode(zlib.decompress(packed(LEARNED)))
    assert unpacked(zlib.compress(msgspec.msgpack.encode([2, *body[1:]]))) is None
    monkeypatch.setattr(learned_module, "MOST_BYTES", 50)
    assert unpacked(packed(LEARNED)) is None


@given(st.binary(max_size=200), st.integers(0, 60))
def test_garbage_is_as_none(garbage: bytes, place: int) -> None:
    good = packed(LEARNED)
    for text in (garbage, good[:place], good[:place] + garbage + good[place + 1 :]):
        found = unpacked(text)
        assert found is None or len(found.paths) == len(found.opened_ns) == len(found.last_ns)


@pytest.mark.parametrize("count", [10, MOST_LEARNED + 50])
def test_no_more_is_left_to_the_next_process_than_is_bounded_and_that_is_what_was_open_longest(count: int) -> None:
    history, paths = History(), np.arange(1, count + 1, dtype=np.uint64)
    opened, last = np.arange(count, dtype=np.int64) * SECOND, np.full(count, 10**6 * SECOND, np.int64)
    history.recall(Learned(paths, opened, last, ""), ahead_ns=0)
    learned = history.learned("", ahead_ns=0)
    assert len(learned.paths) == min(count, MOST_LEARNED)
    assert bool((learned.paths[1:] > learned.paths[:-1]).all())
    assert int(learned.opened_ns.max()) == (min(count, MOST_LEARNED) - 1) * SECOND
    later = history.learned("", ahead_ns=SECOND)
    assert (set((later.opened_ns - learned.opened_ns).tolist()), set((later.last_ns - learned.last_ns).tolist())) == (
        {SECOND},
        {SECOND},
    )

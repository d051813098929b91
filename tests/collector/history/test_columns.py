from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.history.columns import Point, packed, point


def cell(source: str, target: str, *, sent: int = 10, lost: int = 0, p50: float | None = 120.0) -> dict[str, Any]:
    return {
        "from": source,
        "to": target,
        "state": "measured",
        "sent": sent,
        "received": sent - lost,
        "p50_us": p50,
        "p99_us": None if p50 is None else p50 * 2,
    }


def test_a_pair_comes_back_as_it_went_in_and_by_direction() -> None:
    body = packed([cell("a", "b", sent=10, lost=1), cell("b", "a", sent=9)])
    assert point(60, body, "a", "b") == Point(60, 10, 1, 0.1, 120.0, 240.0)
    assert point(60, body, "b", "a") == Point(60, 9, 0, 0.0, 120.0, 240.0)


def test_what_was_not_measured_has_no_point_and_no_latency_is_none() -> None:
    body = packed([cell("a", "b", lost=10, p50=None), {**cell("b", "a"), "state": "unknown"}])
    assert point(60, body, "b", "a") is None
    assert point(60, body, "a", "nobody") is None
    assert point(60, body, "a", "b") == Point(60, 10, 10, 1.0, None, None)
    assert point(60, packed([]), "a", "b") is None


@given(st.binary(max_size=64))
def test_bytes_that_nobody_packed_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a minute of groups"):
        point(60, body, "a", "b")

"""Round trips out of stamps, and clocks that step."""

import pytest

from agent.latency import round_trip
from wire.window import Timed

SECOND = 1_000_000_000
WALL = 1_700_000_000 * SECOND


def trip(
    *, step: int = 0, tx: bool = True, rx: bool = True, stall: int = 0, dwell: int = 0, exact: bool = True
) -> tuple[int, Timed]:
    """A true round trip of 300 us, read `stall` later, with a step of the clock between send and receipt."""
    sent = 5 * SECOND
    return round_trip(
        sent_ns=sent,
        read_ns=sent + 300_000 + stall,
        sent_offset_ns=WALL,
        read_offset_ns=WALL + step,
        transmitted_ns=(sent + WALL) if tx else 0,
        received_ns=(sent + WALL + 300_000 + step) if rx else 0,
        dwell_ns=dwell,
        dwell_exact=exact,
    )


def test_survive_08_a_reply_that_waited_in_the_socket_buffer_keeps_its_latency() -> None:
    assert trip(stall=3 * SECOND) == (300_000, Timed.KERNEL)


@pytest.mark.parametrize("step", [3600 * SECOND, -3600 * SECOND, 2_000_000, -2_000_000])
def test_survive_06_a_step_of_the_clock_never_reaches_a_latency(step: int) -> None:
    assert trip(step=step) == (300_000, Timed.USER)
    assert trip(step=step, tx=False) == (300_000, Timed.USER)
    assert trip(step=step, rx=False) == (300_000, Timed.USER)


def test_slewing_is_no_step() -> None:
    assert trip(step=700_000, stall=0)[1] is Timed.KERNEL
    assert trip(step=2_000_000, stall=4 * SECOND)[1] is Timed.KERNEL


def test_a_missing_stamp_is_replaced_by_our_own_clock_and_said() -> None:
    assert trip(tx=False) == (300_000, Timed.USER)
    assert trip(rx=False) == (300_000, Timed.USER)
    assert trip(rx=False, stall=1_000) == (301_000, Timed.USER)


def test_the_reflectors_own_time_is_subtracted_unless_it_cannot_be_true() -> None:
    assert trip(dwell=200_000) == (100_000, Timed.KERNEL)
    assert trip(dwell=200_000, exact=False) == (100_000, Timed.USER)
    assert trip(dwell=400_000) == (300_000, Timed.USER)
    assert trip(dwell=-1) == (300_000, Timed.USER)

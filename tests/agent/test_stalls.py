"""Stalls of our own, in virtual time."""

from agent.stalls import STALL_NS, Stalls

TICK_NS, SECOND_NS = 50_000_000, 1_000_000_000


def test_a_tick_that_is_late_by_more_than_the_limit_is_a_stall_and_the_next_one_in_time_is_none() -> None:
    stalls = Stalls(lambda: 0, 0, least_sleep_ns=SECOND_NS)
    assert stalls.look(TICK_NS + STALL_NS, TICK_NS) == (False, False)
    assert stalls.last_ns is None
    late = 2 * (TICK_NS + STALL_NS) + 1
    assert stalls.look(late, TICK_NS) == (True, False)
    assert stalls.look(late + TICK_NS, TICK_NS) == (False, False)
    assert stalls.last_ns == late


def test_a_rest_is_no_stall_however_long() -> None:
    stalls = Stalls(lambda: 0, 0, least_sleep_ns=SECOND_NS)
    stalls.rested(60 * SECOND_NS)
    assert stalls.look(60 * SECOND_NS + TICK_NS, TICK_NS) == (False, False)


def test_a_machine_that_slept_is_noticed_once_though_its_clock_stood_still() -> None:
    slept = 0
    stalls = Stalls(lambda: slept, 0, least_sleep_ns=SECOND_NS)
    slept = SECOND_NS
    assert stalls.look(TICK_NS, TICK_NS) == (False, True)
    assert stalls.look(2 * TICK_NS, TICK_NS) == (False, False)
    assert stalls.last_ns == TICK_NS

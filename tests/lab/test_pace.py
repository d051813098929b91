import pytest

from lab.evidence import Look
from lab.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_no_time_passes_while_the_lab_is_at_work() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.now = 103.0
    with pace.standing_still():
        clock.now = 107.0
        assert pace.now == 3.0
    clock.now = 108.0
    assert pace.now == 4.0
    assert [pace.at(moment) for moment in (101.0, 103.0, 105.0, 107.0, 107.5)] == [1.0, 3.0, 3.0, 3.0, 3.5]


def fail_within(pace: Pace, clock: Clock) -> None:
    with pace.standing_still():
        clock.now += 2.0
        raise OSError("no such interface")


def test_a_fault_that_could_not_be_made_does_not_stop_the_clock() -> None:
    clock = Clock()
    pace = Pace(clock)
    with pytest.raises(OSError, match="no such interface"):
        fail_within(pace, clock)
    clock.now += 1.0
    assert pace.now == 1.0


def test_counts_from_before_a_fault_are_dated_before_it_however_long_it_took() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.now = 103.0
    with pace.standing_still():
        clock.now = 107.0
    clock.now = 108.0
    look = Look(at=pace.now, instance=1, cells={}, before=lambda seconds: pace.at(108.0 - seconds))
    assert (look.as_of(0.5), look.as_of(3.0), look.as_of(6.0)) == (3.5, 3.0, 2.0)
    assert Look(at=4.0, instance=1, cells={}).as_of(3.0) == 1.0


async def test_it_waits_for_a_time_of_the_scenario() -> None:
    pace = Pace()
    await pace.until(0.05)
    assert pace.now >= 0.05

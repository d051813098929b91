"""The hold as a table."""

from hypothesis import given
from hypothesis import strategies as st

from collector.verdict.hold import TABLE, Hold, Limits, Phase, Sight, held


def after(hold: Hold, now_ns: int, *, seen: bool, ready: bool) -> Hold:
    return held(hold, now_ns, seen=seen, counts=True, ready=ready, limits=Limits(2, 30, 40))


def test_every_open_phase_knows_every_sight_and_a_closed_one_none() -> None:
    assert set(TABLE) == {(phase, sight) for phase in Phase if phase is not Phase.CLOSED for sight in Sight}


def test_seen_twice_and_ready_it_fires_and_not_before() -> None:
    once = Hold(Phase.PENDING, 0, 0)
    assert after(once, 5, seen=True, ready=False).phase is Phase.PENDING
    assert after(once, 5, seen=True, ready=True).phase is Phase.FIRING


def test_a_pending_one_that_is_not_seen_again_is_forgotten() -> None:
    once = Hold(Phase.PENDING, 0, 0)
    assert after(once, 29, seen=False, ready=True).phase is Phase.PENDING
    assert after(once, 30, seen=False, ready=True).phase is Phase.CLOSED


def test_a_firing_one_resolves_fires_again_when_seen_and_closes_after_its_time() -> None:
    firing = Hold(Phase.FIRING, 0, 100, 5)
    resolving = after(firing, 105, seen=False, ready=True)
    assert resolving.phase is Phase.RESOLVING
    assert after(resolving, 110, seen=True, ready=True).phase is Phase.FIRING
    assert after(resolving, 140, seen=False, ready=True).phase is Phase.CLOSED


@given(st.lists(st.booleans(), max_size=60))
def test_whatever_is_seen_the_first_moment_stays_and_the_last_never_goes_back(sights: list[bool]) -> None:
    hold = Hold(Phase.PENDING, 0, 0)
    for number, seen in enumerate(sights):
        if hold.phase is Phase.CLOSED:
            break
        later = after(hold, 5 * number, seen=seen, ready=True)
        assert later.first_ns == 0
        assert later.last_ns >= hold.last_ns
        hold = later

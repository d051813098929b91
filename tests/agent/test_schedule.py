from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.schedule import Schedule, first_due, last_due
from agent.track import Track
from tests.agent.plans import SECOND_NS, path, paths, planned


def tracks(count: int) -> list[Track]:
    return [Track(one) for one in paths(count)]


def times(schedule: Schedule, start: int, end: int, step: int = 25_000_000) -> list[tuple[int, int]]:
    return [(track.id, last_due(track, now)) for now in range(start, end, step) for track in schedule.due(now)[0]]


def test_the_same_plan_is_the_same_schedule_whatever_the_order_and_the_moment() -> None:
    one, other = Schedule(), Schedule()
    one.replan(tracks(20), 0)
    other.replan(tracks(20)[::-1], 7 * SECOND_NS)
    assert [entry for entry in times(one, 0, 12 * SECOND_NS) if entry[1] >= 7 * SECOND_NS] == times(other, 0, 12 * SECOND_NS)


def test_five_hundred_agents_started_in_the_same_second_spread() -> None:
    tenths = Counter(first_due(planned(path(vantage=f"n{i}")).path.id, 10 * SECOND_NS, 0) // SECOND_NS for i in range(500))
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) < 100  # 50 expected, deviation 6.7


@given(st.integers(0, 2**64 - 1), st.integers(1, 10**12), st.integers(0, 10**18))
def test_the_first_time_is_on_the_grid_and_within_one_interval(identity: int, interval: int, start: int) -> None:
    due = first_due(identity, interval, start)
    assert start <= due < start + interval
    assert due % interval == identity % interval


def test_every_interval_has_exactly_one_probe_whatever_the_replies_do() -> None:
    schedule = Schedule()
    schedule.replan(tracks(1), 0)
    due = [intended for _, intended in times(schedule, 0, 60 * SECOND_NS)]
    assert len(due) == 60
    assert {later - earlier for earlier, later in pairwise(due)} == {SECOND_NS}


def test_times_that_passed_an_interval_ago_are_skipped_and_the_last_one_is_still_sent() -> None:
    schedule = Schedule()
    (one,) = tracks(1)
    schedule.replan([one], 0)
    first = first_due(one.id, SECOND_NS, 0)
    assert schedule.due(first + 3 * SECOND_NS + 1) == ([one], [(one, 3)])
    assert last_due(one, first + 3 * SECOND_NS + 1) == first + 3 * SECOND_NS
    assert schedule.next_due() == first + 4 * SECOND_NS


def test_a_replan_leaves_the_times_of_unchanged_paths_alone_even_one_that_just_passed() -> None:
    schedule = Schedule()
    kept, dropped, fresh = tracks(3)
    schedule.replan([kept, dropped], 0)
    first = first_due(kept.id, SECOND_NS, 0)
    schedule.replan([fresh, kept], first + 1)
    assert kept in schedule.due(first + 1)[0]
    assert dropped.id not in {identity for identity, _ in times(schedule, first, first + 3 * SECOND_NS)}


def test_an_empty_plan_has_no_next_time() -> None:
    schedule = Schedule()
    schedule.replan(tracks(3), 0)
    schedule.replan([], 0)
    assert schedule.next_due() is None
    assert schedule.due(10**12) == ([], [])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2_500_000_000), st.one_of(st.none(), st.sets(st.integers(0, 7)))), min_size=1, max_size=30
    ),
    st.lists(st.sampled_from([700, 1000, 1500]), min_size=8, max_size=8),
)
def test_what_is_due_is_what_every_paths_own_grid_says(
    steps: list[tuple[int, set[int] | None]], intervals_ms: list[int]
) -> None:
    """Held against the slow and obvious way, through late ticks and changes of plan."""
    everyone = [Track(planned(path(f"node/n{i}"), interval_ms=interval_ms)) for i, interval_ms in enumerate(intervals_ms)]
    schedule, now = Schedule(), 0
    following: dict[int, int] = {}
    for step, chosen in steps:
        now += step
        if chosen is not None:
            some = [everyone[i] for i in chosen]
            schedule.replan(some, now)
            following = {one.id: following.get(one.id, first_due(one.id, one.interval_ns, now)) for one in some}
        expected, passed = [], []
        for one in everyone:
            first = following.get(one.id)
            if first is not None and first <= now:
                skipped = (now - first) // one.interval_ns
                expected.append((first + skipped * one.interval_ns, one.id))
                passed += [(one.id, skipped)] if skipped else []
                following[one.id] = first + (skipped + 1) * one.interval_ns
        due, skipped_times = schedule.due(now)
        assert [(last_due(track, now), track.id) for track in due] == sorted(expected)
        assert sorted((track.id, times) for track, times in skipped_times) == sorted(passed)
        assert schedule.next_due() == min(following.values(), default=None)


def test_a_path_with_another_interval_begins_anew_on_the_grid_of_that() -> None:
    schedule, (one,) = Schedule(), tracks(1)
    for _ in range(2):
        schedule.replan([one], 0)
        one.follow(planned(one.path, interval_ms=3000), 0)
        schedule.replan([one], 5 * SECOND_NS)
        assert schedule.next_due() == first_due(one.id, 3 * SECOND_NS, 5 * SECOND_NS)
        assert schedule.due(20 * SECOND_NS)[0] == [one]
        one.follow(planned(one.path), 0)

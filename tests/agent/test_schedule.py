from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.limits import Spacing
from agent.schedule import Schedule, first_due
from tests.agent.plans import SECOND_NS, path, paths, planned


def times(schedule: Schedule, start: int, end: int, step: int = 25_000_000) -> list[tuple[int, int]]:
    return [(due.planned.path.id, due.intended_ns) for now in range(start, end, step) for due in schedule.due(now)]


def test_the_same_plan_is_the_same_schedule_whatever_the_order_and_the_moment() -> None:
    one, other = Schedule(), Schedule()
    one.replan(paths(20), 0)
    other.replan(paths(20)[::-1], 7 * SECOND_NS)
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
    schedule.replan([planned()], 0)
    due = [intended for _, intended in times(schedule, 0, 60 * SECOND_NS)]
    assert len(due) == 60
    assert {later - earlier for earlier, later in pairwise(due)} == {SECOND_NS}


def test_times_that_passed_an_interval_ago_are_skipped_and_the_last_one_is_still_sent() -> None:
    schedule = Schedule()
    one = planned()
    schedule.replan([one], 0)
    first = first_due(one.path.id, SECOND_NS, 0)
    (due,) = schedule.due(first + 3 * SECOND_NS + 1)
    assert (due.skipped, due.intended_ns) == (3, first + 3 * SECOND_NS)
    assert schedule.next_due() == first + 4 * SECOND_NS


def test_a_replan_leaves_the_times_of_unchanged_paths_alone_even_one_that_just_passed() -> None:
    schedule = Schedule()
    kept, dropped, fresh = paths(3)
    schedule.replan([kept, dropped], 0)
    first = first_due(kept.path.id, SECOND_NS, 0)
    schedule.replan([fresh, kept], first + 1)
    assert (kept.path.id, first) in [(due.planned.path.id, due.intended_ns) for due in schedule.due(first + 1)]
    assert dropped.path.id not in {identity for identity, _ in times(schedule, first, first + 3 * SECOND_NS)}


def test_an_empty_plan_has_no_next_time() -> None:
    schedule = Schedule()
    schedule.replan(paths(3), 0)
    schedule.replan([], 0)
    assert schedule.next_due() is None
    assert schedule.due(10**12) == []


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 3_000_000_000), st.sampled_from([0, 1000, 1500, 10_000])), min_size=1, max_size=40))
def test_with_the_spacing_no_two_probes_of_a_path_are_closer_than_nine_tenths_of_its_interval(
    steps: list[tuple[int, int]],
) -> None:
    schedule, spacing, now = Schedule(), Spacing(SECOND_NS), 0
    sent: list[int] = []
    interval_ms = 1000
    schedule.replan([planned(interval_ms=interval_ms)], now)
    for step, changed_to in steps:
        now += step
        for due in schedule.due(now):
            if not spacing.wait_ns(due.planned.path.id, due.planned.interval_ms * 1_000_000, now):
                spacing.sent(due.planned.path.id, now)
                assert not sent or now - sent[-1] >= due.planned.interval_ms * 900_000
                sent.append(now)
        if changed_to and changed_to != interval_ms:
            interval_ms = changed_to
            schedule.replan([planned(interval_ms=interval_ms)], now)


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
    everyone = [planned(path(f"node/n{i}"), interval_ms=interval_ms) for i, interval_ms in enumerate(intervals_ms)]
    schedule, now = Schedule(), 0
    following: dict[int, int] = {}
    for step, chosen in steps:
        now += step
        if chosen is not None:
            some = [everyone[i] for i in chosen]
            schedule.replan(some, now)
            following = {
                one.path.id: following.get(one.path.id, first_due(one.path.id, one.interval_ms * 1_000_000, now))
                for one in some
            }
        expected = []
        for one in everyone:
            first, interval_ns = following.get(one.path.id), one.interval_ms * 1_000_000
            if first is not None and first <= now:
                skipped = (now - first) // interval_ns
                expected.append((first + skipped * interval_ns, one.path.id, skipped))
                following[one.path.id] = first + (skipped + 1) * interval_ns
        assert [(due.intended_ns, due.planned.path.id, due.skipped) for due in schedule.due(now)] == sorted(expected)
        assert schedule.next_due() == min(following.values(), default=None)

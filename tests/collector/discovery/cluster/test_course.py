"""What is asked next follows from what happened, as the table says, and never in a hurry."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.discovery.cluster.course import LONGEST_WAIT_SECONDS, RARE_SECONDS, RULES, STUCK, Course, Order, Then, Word

PAGES, WATCHES = (Word.PAGED, Word.LISTED), (Word.ENDED, Word.BROKEN, Word.GARBLED)


def listed(course: Course, version: str = "7") -> None:
    course.order()
    course.listed(version)


def watched(course: Course, word: Word, *, lasted: float = 100.0, version: str = "7") -> Order:
    course.watched(word, lasted_seconds=lasted, version=version)
    return course.order()


def asked(order: Order) -> tuple[bool, str, str]:
    return order.watch, order.token, order.version


def test_every_word_has_a_rule() -> None:
    assert set(RULES) == set(Word)
    assert set(Then) == {rule.then for rule in RULES.values()}


def test_it_begins_at_once_with_a_list_and_goes_on_page_by_page_to_a_watch_of_the_last_version() -> None:
    course = Course("nodes")
    orders = [course.order()]
    course.paged("p2")
    orders.append(course.order())
    course.paged("p3")
    orders.append(course.order())
    course.listed("41")
    orders.append(course.order())
    assert [asked(order) for order in orders] == [
        (False, "", ""),
        (False, "p2", ""),
        (False, "p3", ""),
        (True, "", "41"),
    ]
    assert [order.wait_seconds for order in orders] == [0.0] * 4


def test_a_watch_that_ends_or_breaks_goes_on_after_its_last_line_and_nothing_is_listed() -> None:
    for word in WATCHES:
        course = Course("nodes")
        listed(course)
        course.order()
        assert asked(watched(course, word, version="19")) == (True, "", "19")


def test_what_need_not_be_there_is_listed_again_after_minutes_and_another_version_of_it_at_once() -> None:
    course = Course("clusternetworkpolicies")
    course.order()
    course.failed(Word.OTHER)
    assert course.order() == Order(0.0, watch=False)
    course.failed(Word.ABSENT)
    for _ in range(3):
        order = course.order()
        assert RARE_SECONDS / 2 <= order.wait_seconds <= RARE_SECONDS
        assert asked(order) == (False, "", "")
        course.failed(Word.ABSENT)
    listed(course, "9")
    assert course.order() == Order(0.0, watch=True, version="9")
    course.failed(Word.ABSENT)
    assert not course.order().watch, "its kind is gone, and its watch does not go on"
    course.failed(Word.AWAY)
    assert course.order().wait_seconds <= LONGEST_WAIT_SECONDS


def test_survive_14_410_in_a_watch_is_a_new_list_after_a_wait() -> None:
    course = Course("nodes")
    listed(course)
    order = watched(course, Word.EXPIRED, lasted=0.1)
    assert asked(order) == (False, "", "7")
    assert order.wait_seconds > 0


def test_survive_14_410_to_the_first_request_of_a_watch_is_a_new_list() -> None:
    course = Course("nodes")
    listed(course)
    course.order()
    course.failed(Word.EXPIRED)
    assert asked(course.order())[:2] == (False, "")


@pytest.mark.parametrize("word", [Word.EXPIRED, Word.REFUSED])
def test_survive_16_a_page_whose_token_is_refused_is_the_first_page_again(word: Word) -> None:
    course = Course("nodes")
    course.order()
    course.paged("p2")
    course.order()
    course.failed(word)
    assert asked(course.order()) == (False, "", "")


@pytest.mark.parametrize("word", [Word.BUSY, Word.AWAY])
def test_a_page_that_did_not_come_is_asked_for_again_and_not_the_whole_list(word: Word) -> None:
    course = Course("nodes")
    course.order()
    course.paged("p2")
    course.order()
    course.failed(word)
    assert asked(course.order()) == (False, "p2", "")


@pytest.mark.parametrize("watching", [False, True])
def test_survive_17_retry_after_is_obeyed_and_not_by_all_in_the_same_moment(watching: bool) -> None:
    waits = set()
    for name in ("nodes", "pods", "services"):
        course = Course(name)
        if watching:
            listed(course)
        course.order()
        course.failed(Word.BUSY, retry_after=42.0)
        waits.add(course.order().wait_seconds)
        course.paged("p") if not watching else course.watched(Word.ENDED, lasted_seconds=100, version="8")
        assert course.order().wait_seconds == 0.0
    assert all(42.0 <= wait <= 47.0 for wait in waits)
    assert len(waits) == 3


def test_a_watch_that_is_refused_again_and_again_is_of_another_history_and_a_list_tells_the_present() -> None:
    """As after etcd was restored from a backup, when the API server never gets to the version that is asked for."""
    course = Course("nodes")
    listed(course)
    for _ in range(STUCK):
        assert course.order().watch
        course.failed(Word.REFUSED)
    assert asked(course.order())[0] is False


def test_a_line_that_is_never_understood_does_not_stop_the_world_for_ever() -> None:
    course = Course("nodes")
    listed(course)
    for _ in range(STUCK - 1):
        assert watched(course, Word.GARBLED, lasted=0.1).watch
    assert not watched(course, Word.GARBLED, lasted=0.1).watch


def test_progress_between_garbled_lines_is_no_reason_for_a_list() -> None:
    course = Course("nodes")
    listed(course)
    for version in range(8, 30):
        assert watched(course, Word.GARBLED, lasted=0.1, version=str(version)).watch


def test_survive_13_an_api_server_that_is_away_for_an_hour_is_asked_in_growing_steps_and_never_listed_again() -> None:
    course = Course("nodes")
    listed(course)
    seconds, orders = 0.0, 0
    while seconds < 3600:
        order = course.order()
        assert asked(order) == (True, "", "7")
        seconds += order.wait_seconds
        orders += 1
        course.failed(Word.AWAY)
    assert orders < 3600 / (LONGEST_WAIT_SECONDS / 2) + 10


def test_survive_14_a_connection_that_is_closed_each_five_seconds_is_opened_again_soon_and_nothing_is_listed() -> None:
    course = Course("nodes")
    listed(course)
    orders = [watched(course, word, lasted=5.0) for word in (Word.ENDED, Word.BROKEN) * 100]
    assert all(order.watch and order.wait_seconds <= 1.0 for order in orders)


def test_survive_14_a_history_that_is_always_gone_is_listed_at_most_every_15_seconds() -> None:
    course = Course("nodes")
    waits = []
    for _ in range(50):
        waits.append(course.order().wait_seconds)
        course.listed("7")
        waits[-1] += course.order().wait_seconds
        course.watched(Word.EXPIRED, lasted_seconds=0.0, version="7")
    assert all(wait >= LONGEST_WAIT_SECONDS / 2 for wait in waits[10:])


STEPS = st.lists(st.tuples(st.sampled_from(Word), st.floats(0, 700), st.integers(0, 5)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_happens_waits_are_bounded_and_a_watch_begins_after_a_version_that_was_told(
    steps: Sequence[tuple[Word, float, int]],
) -> None:
    course = Course("pods")
    told = {""}
    for word, lasted, number in steps:
        order = course.order()
        assert 0.0 <= order.wait_seconds <= LONGEST_WAIT_SECONDS
        assert order.version in told
        assert not (order.watch and order.token)
        if order.watch:
            assert order.version
        told.add(str(number + 1))
        if order.watch and word in (*WATCHES, Word.EXPIRED):
            course.watched(word, lasted_seconds=lasted, version=str(number + 1))
        elif not order.watch and word is Word.PAGED:
            course.paged(f"p{number}")
        elif not order.watch and word is Word.LISTED:
            course.listed(str(number + 1))
        elif word in (Word.REFUSED, Word.BUSY, Word.AWAY, Word.EXPIRED):
            course.failed(word)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([Word.EXPIRED, Word.REFUSED, Word.BUSY, Word.AWAY, Word.GARBLED]), min_size=20, max_size=60))
def test_without_any_success_requests_become_rare_whatever_the_failures(words: Sequence[Word]) -> None:
    course = Course("pods")
    listed(course)
    waits = []
    for word in words:
        order = course.order()
        waits.append(order.wait_seconds)
        if order.watch and word is Word.GARBLED:
            course.watched(word, lasted_seconds=0.0, version="7")
        else:
            course.failed(Word.AWAY if word is Word.GARBLED else word)
    assert all(wait >= LONGEST_WAIT_SECONDS / 4 for wait in waits[8:])

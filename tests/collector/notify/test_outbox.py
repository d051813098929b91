import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.notify.notices import Ledger, Notice, Status, followed
from collector.notify.outbox import FIRST_SECONDS, LONGEST_SECONDS, Left, Outbox, pause_seconds
from tests.collector.notify.telling import incident


def notice(id_: str, status: Status = Status.FIRING) -> Notice:
    (made,) = followed([incident(id_)], Ledger(), 0, now=0.0).news
    return made._replace(status=status)


def test_an_incident_waits_once_and_with_what_is_new_of_it() -> None:
    box = Outbox()
    assert box.put([notice("a"), notice("b")]) == Left(0, 0)
    assert box.put([notice("a", Status.RESOLVED)]) == Left(1, 0)
    assert [(one.id, one.status) for one in box.all()] == [("b", Status.FIRING), ("a", Status.RESOLVED)]


def test_the_oldest_give_way() -> None:
    box = Outbox(3)
    assert box.put([notice(str(number)) for number in range(5)]) == Left(0, 2)
    assert [one.id for one in box.all()] == ["2", "3", "4"]
    assert [one.id for one in box.take(1)] == ["2"]


def test_what_came_in_while_it_was_sent_goes_on_waiting() -> None:
    box = Outbox()
    box.put([notice("a"), notice("b")])
    box.take()
    assert box.put([notice("a", Status.RESOLVED)]) == Left(0, 0)
    assert len(box) == 3
    assert box.sent() == 2
    assert [(one.id, one.status) for one in box.all()] == [("a", Status.RESOLVED)]


def test_what_could_not_be_sent_comes_back_unless_there_is_other_news_of_it() -> None:
    box = Outbox(3)
    box.put([notice("a"), notice("b"), notice("c")])
    box.take(2)
    box.put([notice("b", Status.RESOLVED), notice("d")])
    assert box.back() == Left(1, 1)
    assert [(one.id, one.status.value) for one in box.all()] == [("c", "firing"), ("b", "resolved"), ("d", "firing")]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([*Status]), st.sampled_from(["wait", "take", "sent", "back"]))
    )
)
def test_whatever_is_put_is_sent_or_counted(steps: list[tuple[str, Status, str]]) -> None:
    box, put, left, done = Outbox(4), 0, 0, 0
    for put, (id_, status, step) in enumerate(steps, start=1):
        left += sum(box.put([notice(id_, status)]))
        match step:
            case "take":
                left += sum(box.back())
                box.take(2)
            case "sent":
                done += box.sent()
            case "back":
                left += sum(box.back())
        assert len(box) <= 8
        assert put == left + done + len(box)


def test_a_receiver_that_is_away_is_tried_ever_less_often_and_at_least_once_a_minute() -> None:
    pauses = [pause_seconds("chat", failures) for failures in range(1, 5000)]
    assert FIRST_SECONDS / 2 <= pauses[0] <= FIRST_SECONDS
    assert all(LONGEST_SECONDS / 2 <= pause <= LONGEST_SECONDS for pause in pauses[6:])
    assert pauses == [pause_seconds("chat", failures) for failures in range(1, 5000)]
    assert len({pause_seconds(f"chat-{number}", 9) for number in range(50)}) > 40


@pytest.mark.parametrize(("asked", "seconds"), [(20.0, 20.0), (9999.0, LONGEST_SECONDS), (0.0, pause_seconds("chat", 1))])
def test_a_receiver_may_ask_for_time_within_bounds(asked: float, seconds: float) -> None:
    assert pause_seconds("chat", 1, asked) == seconds

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.backlog import MAX_SPAN_NS, RETAINED, Backlog, Span, merge_spans, span_of
from tests.agent.plans import SECOND_NS
from wire.histogram import bucket_of
from wire.report import Health, unpack
from wire.window import Window


def window(path: int, received: int = 1) -> Window:
    latency = {bucket_of(1000): received} if received else {}
    return Window(path=path, received=received, latency=latency, sum_ns=1000 * received, min_ns=1000, max_ns=1000)


def span(at: int, *windows: Window, length: int = 1) -> Span:
    return span_of(
        windows or (window(1),),
        started_ns=at * SECOND_NS,
        ended_ns=(at + length) * SECOND_NS,
        generation=1,
        health=Health(),
    )


def drain(backlog: Backlog) -> list[tuple[int, Span]]:
    taken = []
    while (waiting := backlog.next()) is not None:
        taken.append(waiting)
        backlog.acknowledge(waiting[0])
    return taken


def received(spans: list[Span]) -> int:
    return sum(one.received for each in spans for one in unpack(each.columns))


def test_spans_leave_in_order_with_numbers_from_one_and_without_gaps() -> None:
    backlog = Backlog()
    for at in range(3):
        backlog.add(span(at))
    assert [(sequence, one.started_ns // SECOND_NS) for sequence, one in drain(backlog)] == [(1, 0), (2, 1), (3, 2)]
    assert backlog.next() is None
    assert backlog.acknowledged == 3


def test_a_span_keeps_its_number_until_it_is_acknowledged() -> None:
    backlog = Backlog()
    backlog.add(span(0))
    assert backlog.next() == backlog.next() == (1, span(0))


def test_survive_01_another_collector_process_gets_the_last_two_acknowledged_spans_and_all_others_again() -> None:
    backlog = Backlog()
    for at in range(5):
        backlog.add(span(at))
    for sequence in (1, 2, 3):
        backlog.next()
        backlog.acknowledge(sequence)
    backlog.next()
    backlog.rewind()
    assert backlog.acknowledged == 3
    assert [sequence for sequence, _ in drain(backlog)] == [2, 3, 4, 5]
    assert RETAINED == 2


def test_survive_03_half_an_hour_without_a_collector_is_merged_and_not_lost() -> None:
    backlog = Backlog(max_spans=60)
    for at in range(0, 1800, 10):
        backlog.add(span(at, window(1), window(2), length=10))
    assert len(backlog) == 60
    spans = [one for _, one in drain(backlog)]
    assert received(spans) == 2 * 180
    assert sum(one.merged for one in spans) == 180
    assert (backlog.spans_merged, backlog.windows_dropped) == (120, 0)
    assert [one.ended_ns for one in spans[:-1]] == [one.started_ns for one in spans[1:]]


def test_what_was_sent_is_never_merged_since_the_collector_may_have_it() -> None:
    backlog = Backlog(max_spans=4)
    backlog.add(span(0))
    sent = backlog.next()
    for at in range(1, 20):
        backlog.add(span(at))
    assert backlog.next() == sent
    assert sent is not None
    assert sent[1].merged == 1


def test_the_newest_span_is_not_merged() -> None:
    backlog = Backlog(max_spans=3)
    for at in range(10):
        backlog.add(span(at))
    backlog.add(replace(span(10), leaving=True))
    last = drain(backlog)[-1][1]
    assert (last.leaving, last.merged) == (True, 1)


def test_where_merging_gains_nothing_the_oldest_is_dropped_and_counted() -> None:
    one_span = span(0, *(window(path) for path in range(10))).size_bytes
    backlog = Backlog(max_bytes=3 * one_span)
    for at in range(6):
        backlog.add(span(2 * at, *(window(path) for path in range(10))))  # not adjacent, so they cannot be merged
    assert backlog.size_bytes <= 3 * one_span
    assert (backlog.spans_dropped, backlog.windows_dropped) == (3, 30)
    assert [one.started_ns // SECOND_NS for _, one in drain(backlog)] == [6, 8, 10]


def test_a_refused_span_is_dropped_and_counted_and_the_next_one_follows() -> None:
    backlog = Backlog()
    backlog.add(span(0, window(1), window(2)))
    backlog.add(span(1))
    backlog.next()
    backlog.drop(1)
    assert backlog.windows_dropped == 2
    assert backlog.next() == (2, span(1))


def test_an_acknowledgement_from_the_future_changes_nothing_that_was_not_sent() -> None:
    backlog = Backlog()
    backlog.add(span(0))
    backlog.acknowledge(99)
    assert backlog.acknowledged == 0
    assert backlog.next() == (1, span(0))


def test_spans_that_are_far_apart_long_or_large_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert merge_spans(span(0), span(2)) is None
    assert merge_spans(span(0, length=MAX_SPAN_NS // SECOND_NS), span(MAX_SPAN_NS // SECOND_NS)) is None
    assert merge_spans(span(0), span(1)) is not None
    monkeypatch.setattr("agent.backlog.MAX_ENTRIES", 3)
    assert merge_spans(span(0, window(1), window(2)), span(1, window(2), window(3))) is not None
    assert merge_spans(span(0, window(1), window(2)), span(1, window(3), window(4))) is None
    monkeypatch.setattr("agent.backlog.MAX_SPAN_BYTES", span(0).size_bytes)
    assert merge_spans(span(0, window(1)), span(1, window(2))) is None


@example(["add", "add", "add", "send", "drop"], 2)
@settings(max_examples=60)
@given(st.lists(st.sampled_from(["add", "send", "ack", "rewind", "drop"]), max_size=80), st.integers(2, 6))
def test_survive_03_nothing_is_lost_or_doubled_but_what_is_counted(events: list[str], most: int) -> None:
    """A model collector takes each number once per process; every window ends there, in the backlog, or in the count."""
    backlog = Backlog(max_spans=most)
    at, sent, added = 0, None, 0
    collectors: list[dict[int, Span]] = [{}]
    final: dict[int, Span] = {}
    for event in events:
        match event:
            case "add":
                backlog.add(span(at))
                at, added = at + 1, added + 1
            case "send":
                sent = backlog.next()
                if sent is not None:
                    assert final.setdefault(*sent) == sent[1], "a number never names two different spans"
                    collectors[-1].setdefault(*sent)
            case "ack" if sent is not None:
                backlog.acknowledge(sent[0])
                sent = None
            case "rewind":
                backlog.rewind()
                collectors.append({})
                sent = None
            case "drop" if sent is not None:
                backlog.drop(sent[0])
                collectors[-1].pop(sent[0])
                del final[sent[0]]
                sent = None
    for sequence, one in drain(backlog):
        assert final.setdefault(sequence, one) == one
    assert len(backlog) == 0
    arrived = received(list(final.values()))
    assert added - backlog.windows_dropped <= arrived <= added
    assert len(backlog._entries) <= most

"""Windows add up in any order, and one that contradicts itself cannot be made."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.wire.windows import windows
from wire.outcome import Outcome
from wire.window import FactName, Flag, Measure, Timed, Window, merge


def without_facts(window: Window) -> Window:
    return structs.replace(window, facts={})


@given(windows(path=7), windows(path=7))
def test_the_order_of_two_windows_does_not_matter_but_for_the_last_facts(one: Window, other: Window) -> None:
    assert without_facts(merge([one, other])) == without_facts(merge([other, one]))
    assert merge([one, other]).facts == {**one.facts, **other.facts}


@given(windows(path=7), windows(path=7), windows(path=7))
def test_it_does_not_matter_which_windows_are_merged_first(one: Window, two: Window, three: Window) -> None:
    assert merge([merge([one, two]), three]) == merge([one, merge([two, three])]) == merge([one, two, three])


@given(st.lists(windows(path=7), min_size=1, max_size=4))
def test_nothing_is_lost_or_counted_twice_in_a_merge(parts: list[Window]) -> None:
    whole = merge(parts)
    assert whole.sent == sum(part.sent for part in parts)
    assert whole.lost == sum(part.lost for part in parts)
    assert whole.received == sum(part.received for part in parts)
    assert sum(whole.local.values()) == sum(sum(part.local.values()) for part in parts)
    assert whole.sent == whole.received + whole.lost


def test_the_minimum_of_a_window_without_answers_is_not_a_latency() -> None:
    silent = Window(7, failed={Outcome.TIMEOUT: 3})
    answered = Window(7, received=1, latency={-80: 1}, sum_ns=980_000, min_ns=980_000, max_ns=980_000)
    assert merge([silent, answered]).min_ns == 980_000
    assert merge([silent, silent]).min_ns == 0


def test_a_sequence_number_is_kept_and_counts_are_added() -> None:
    one = Window(7, measures={Measure.THROUGH_SEQUENCE: 40, Measure.FORWARD_LOST: 2})
    other = Window(7, measures={Measure.THROUGH_SEQUENCE: 90, Measure.FORWARD_LOST: 3, Measure.DUPLICATES: 1})
    assert merge([one, other]).measures == {
        Measure.THROUGH_SEQUENCE: 90,
        Measure.FORWARD_LOST: 5,
        Measure.DUPLICATES: 1,
    }


def test_flags_and_ways_of_timing_are_those_of_any_part() -> None:
    whole = merge([Window(7, timed=Timed.KERNEL, flags=Flag.NAT), Window(7, timed=Timed.USER, flags=Flag.ILL)])
    assert whole.timed == Timed.KERNEL | Timed.USER
    assert whole.timed.word == "kernel+user"
    assert whole.flags == Flag.NAT | Flag.ILL


def test_a_late_answer_is_lost_and_a_failure_of_our_own_is_neither_sent_nor_lost() -> None:
    window = Window(7, late=2, failed={Outcome.TIMEOUT: 3}, local={Outcome.NO_FD: 5})
    assert (window.sent, window.lost) == (5, 5)


def test_a_fact_is_that_of_the_last_window_that_has_it() -> None:
    first = Window(7, facts={FactName.SOURCE: "10.30.1.2", FactName.HOP_LIMIT: "61"})
    last = Window(7, facts={FactName.SOURCE: "172.30.0.1"})
    assert merge([first, last]).facts == {FactName.SOURCE: "172.30.0.1", FactName.HOP_LIMIT: "61"}


def test_windows_of_two_paths_do_not_merge() -> None:
    with pytest.raises(ValueError, match="two paths"):
        merge([Window(7), Window(8)])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"received": 1}, "1 received, but 0 latencies"),
        ({"latency": {0: 2}}, "0 received, but 2 latencies"),
        ({"failed": {Outcome.NO_FD: 1}}, "counted as the network's"),
        ({"failed": {Outcome.LATE: 1}}, "counted as the network's"),
        ({"local": {Outcome.TIMEOUT: 1}}, "counted as our own"),
        ({"received": 2, "latency": {0: 2}, "sum_ns": 1, "min_ns": 1, "max_ns": 1}, "not between"),
        ({"received": 2, "latency": {0: 2}, "sum_ns": 9, "min_ns": 1, "max_ns": 4}, "not between"),
        ({"received": -1, "latency": {0: -1}}, "negative"),
        ({"late": -1}, "negative"),
        ({"failed": {Outcome.TIMEOUT: -1}}, "negative"),
        ({"local": {Outcome.NO_FD: -1}}, "negative"),
        ({"latency": {0: 1, 1: -1}}, "negative"),
        ({"received": 1, "latency": {0: 1}, "sum_ns": -5, "min_ns": -5, "max_ns": 5}, "negative"),
        ({"received": 1, "latency": {57: 1}}, "outside of -160 to 56"),
        ({"received": 1, "latency": {-161: 1}}, "outside of -160 to 56"),
    ],
)
def test_a_window_that_contradicts_itself_cannot_be_made(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Window(7, **fields)


def test_a_measure_keeps_its_number_and_a_fact_its_name() -> None:
    assert {measure.name: int(measure) for measure in Measure} == {
        "DUPLICATES": 1,
        "REORDERED": 2,
        "RETRANSMITS": 3,
        "FORWARD_LOST": 4,
        "BACKWARD_LOST": 5,
        "THROUGH_SEQUENCE": 6,
        "RESOLVE_NS": 7,
        "CONNECT_NS": 8,
        "TLS_NS": 9,
        "FIRST_BYTE_NS": 10,
        "TRANSFER_NS": 11,
        "BURST_ENDED": 12,
        "BURST_SENT": 13,
        "BURST_LOST": 14,
        "BURST_REFUSED": 15,
        "BURST_NS": 16,
    }
    assert {fact.value for fact in FactName} == {
        "source",
        "status",
        "certificate_expires",
        "peer_uid",
        "hop_limit",
        "mtu",
        "answer",
    }

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.probes.prober import Note, Observation, Probe
from agent.windows import REPEATED_AFTER, FirstLosses, OpenSpan
from tests.agent.plans import SECOND_NS, answer, failure, path, probe
from wire.outcome import Outcome
from wire.path import Udp
from wire.window import FactName, Flag, Measure, Timed, Window, merge

ICMP = path(uid="uid-a")
UDP = path(uid="uid-a", ask=Udp(port=8620))
LONG = {ICMP.id: SECOND_NS, UDP.id: SECOND_NS, path().id: SECOND_NS}


def cut(span: OpenSpan, now: int = 10, *, ill: bool = False) -> dict[int, Window]:
    return {window.path: window for window in span.cut(now, horizons=LONG, ill=ill)}


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(st.integers(0, 10**12), st.sampled_from(list(Outcome)), st.just("cut")),
        max_size=50,
    )
)
def test_every_judged_probe_is_in_exactly_one_window(events: list[object]) -> None:
    span, windows = OpenSpan(0), []
    for event in [*events, "cut"]:
        if event == "cut":
            windows += span.cut(10, horizons={path().id: 10}, ill=False)
        elif isinstance(event, Outcome):
            span.observe(failure(probe(), event), 5)
        elif isinstance(event, int):
            span.observe(answer(probe(), event), 5)
    latencies = [event for event in events if type(event) is int]
    words = Counter(event for event in events if isinstance(event, Outcome))
    if not latencies and not words:
        assert windows == []
        return
    total = merge(windows)
    assert (total.received, total.sum_ns, total.late) == (len(latencies), sum(latencies), words.pop(Outcome.LATE, 0))
    assert (total.min_ns, total.max_ns) == (min(latencies, default=0), max(latencies, default=0))
    assert Counter(total.failed) + Counter(total.local) == words


def test_an_empty_span_has_no_windows() -> None:
    assert OpenSpan(0).cut(10, horizons=LONG, ill=False) == []


def test_a_success_to_a_pod_that_nobody_identified_is_flagged() -> None:
    span = OpenSpan(0)
    span.observe(answer(probe(ICMP)), 5)
    assert cut(span)[ICMP.id].flags == Flag.UNCONFIRMED


def test_a_loss_needs_no_identity() -> None:
    span = OpenSpan(0)
    span.observe(failure(probe(ICMP), Outcome.TIMEOUT), 5)
    assert cut(span)[ICMP.id].flags == Flag.NONE


def test_a_proof_by_udp_confirms_icmp_in_this_window_and_the_next_but_not_after() -> None:
    span = OpenSpan(0)
    horizons = {ICMP.id: 20, UDP.id: 20}
    span.observe(answer(probe(ICMP)), 4)
    span.observe(answer(probe(UDP), confirmed=True), 5)
    flags = []
    for now in (10, 20, 30):
        span.observe(answer(probe(ICMP)), now - 1)
        windows = {window.path: window for window in span.cut(now, horizons=horizons, ill=False)}
        flags.append(windows[ICMP.id].flags)
    assert flags == [Flag.NONE, Flag.NONE, Flag.UNCONFIRMED]


def test_a_reused_address_is_never_a_success() -> None:
    span = OpenSpan(0)
    span.observe(answer(probe(UDP), confirmed=True), 4)
    span.observe(answer(probe(ICMP)), 5)
    span.observe(failure(probe(UDP), Outcome.WRONG_PEER), 6)
    windows = cut(span)
    assert windows[ICMP.id].flags == Flag.UNCONFIRMED
    assert windows[UDP.id].failed == {Outcome.WRONG_PEER: 1}


def test_survive_08_every_window_of_an_ill_span_says_so() -> None:
    span = OpenSpan(0)
    span.observe(answer(probe()), 5)
    assert cut(span, ill=True)[path().id].flags == Flag.ILL


def test_another_source_address_than_our_own_is_nat_and_only_where_we_know_our_own() -> None:
    seen = Observation(probe(), latency_ns=1, timed=Timed.KERNEL, facts={FactName.SOURCE: "192.0.2.9"})
    span = OpenSpan(0)
    span.observe(seen, 5)
    assert cut(span)[path().id].flags == Flag.NONE
    span.own_addresses = frozenset({"10.30.1.1"})
    span.observe(seen, 15)
    assert cut(span)[path().id].flags == Flag.NAT
    span.own_addresses = frozenset({"192.0.2.9"})
    span.observe(seen, 25)
    assert cut(span)[path().id].flags == Flag.NONE


def test_measures_add_up_except_the_highest_sequence() -> None:
    span = OpenSpan(0)
    span.note(Note(path(), measures={Measure.DUPLICATES: 1, Measure.THROUGH_SEQUENCE: 9}))
    span.note(Note(path(), measures={Measure.DUPLICATES: 2, Measure.THROUGH_SEQUENCE: 7}, facts={FactName.HOP_LIMIT: "63"}))
    window = cut(span)[path().id]
    assert window.measures == {Measure.DUPLICATES: 3, Measure.THROUGH_SEQUENCE: 9}
    assert window.facts == {FactName.HOP_LIMIT: "63"}
    assert window.sent == 0


def test_a_fact_that_stays_the_same_is_told_once_in_a_while_and_another_one_at_once() -> None:
    span, told = OpenSpan(0), []
    for _ in range(2 * REPEATED_AFTER + 1):
        span.note(Note(path(), facts={FactName.HOP_LIMIT: "63"}))
        told.append(bool(cut(span)[path().id].facts))
    assert told[0]
    assert 2 <= sum(told) <= 4
    span.note(Note(path(), facts={FactName.HOP_LIMIT: "62"}))
    assert cut(span)[path().id].facts == {FactName.HOP_LIMIT: "62"}


def test_phases_are_sums_over_received_probes_alone() -> None:
    span = OpenSpan(0)
    resolved = Probe(1, path(), "10.30.1.2", resolve_ns=50)
    span.observe(Observation(resolved, latency_ns=9, measures={Measure.CONNECT_NS: 4}), 5)
    span.observe(Observation(resolved, outcome=Outcome.TIMEOUT, measures={Measure.CONNECT_NS: 400, Measure.RETRANSMITS: 2}), 5)
    assert cut(span)[path().id].measures == {Measure.CONNECT_NS: 4, Measure.RESOLVE_NS: 50, Measure.RETRANSMITS: 2}


def test_what_is_planned_no_more_is_not_reported() -> None:
    span = OpenSpan(0)
    span.observe(answer(probe(path("pod/shop/gone"))), 5)
    assert cut(span) == {}


def test_skipped_times_are_our_own() -> None:
    span = OpenSpan(0)
    span.skip(path(), 3)
    window = cut(span)[path().id]
    assert (dict(window.local), window.sent) == ({Outcome.SKIPPED: 3}, 0)


def test_a_loss_is_a_first_one_after_a_quiet_time_on_its_own_path() -> None:
    losses = FirstLosses(60)
    assert [losses.take(path_id, now) for path_id, now in ((1, 0), (1, 59), (2, 59), (1, 118), (1, 178))] == [
        True,
        False,
        True,
        False,
        True,
    ]
    losses.keep([2])
    assert losses.take(1, 179)

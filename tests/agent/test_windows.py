from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.identity import Proofs
from agent.probes.prober import Note, Observation, Probe
from agent.track import Track
from agent.windows import MOST_KEPT, REPEATED_AFTER, OpenSpan
from tests.agent.plans import SECOND_NS, answer, failure, path, planned, probe, track
from wire.outcome import Outcome
from wire.path import Udp
from wire.report import unpack
from wire.window import FactName, Flag, Measure, Timed, Window, merge

ID = path().id


def cut(span: OpenSpan, now: int = 10, *, ill: bool = False) -> dict[int, Window]:
    return {window.path: window for window in unpack(span.cut(now, report_ns=SECOND_NS, ill=ill))}


def pod_tracks() -> tuple[Track, Track]:
    """ICMP and UDP to one pod."""
    proofs, both = Proofs(), [path(uid="uid-a"), path(uid="uid-a", ask=Udp(port=8620))]
    icmp, udp = [Track(planned(one, interval_ms=1), proofs.of(one.target)) for one in both]
    return icmp, udp


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(st.integers(0, 10**12), st.sampled_from(list(Outcome)), st.just("cut")),
        max_size=50,
    )
)
def test_every_judged_probe_is_in_exactly_one_window(events: list[object]) -> None:
    span, one = OpenSpan(0), probe()
    windows: list[Window] = []
    for event in [*events, "cut"]:
        if event == "cut":
            windows += cut(span).values()
        elif isinstance(event, Outcome):
            span.observe([failure(one, event)], 5)
        elif isinstance(event, int):
            span.observe([answer(one, event)], 5)
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
    assert cut(OpenSpan(0)) == {}


def test_a_success_to_a_pod_that_nobody_identified_is_flagged() -> None:
    span, (icmp, _) = OpenSpan(0), pod_tracks()
    span.observe([answer(probe(icmp))], 5)
    assert cut(span)[icmp.id].flags == Flag.UNCONFIRMED


def test_a_loss_needs_no_identity() -> None:
    span, (icmp, _) = OpenSpan(0), pod_tracks()
    span.observe([failure(probe(icmp), Outcome.TIMEOUT)], 5)
    assert cut(span)[icmp.id].flags == Flag.NONE


def test_a_proof_by_udp_confirms_icmp_in_this_window_and_the_next_but_not_after() -> None:
    span, (icmp, udp) = OpenSpan(0), pod_tracks()
    span.observe([answer(probe(icmp))], 4 * SECOND_NS)
    span.observe([answer(probe(udp), confirmed=True)], 5 * SECOND_NS)
    flags = []
    for now in (6, 7, 8):
        span.observe([answer(probe(icmp))], now * SECOND_NS - 1)
        flags.append(cut(span, now * SECOND_NS)[icmp.id].flags)
    assert flags == [Flag.NONE, Flag.NONE, Flag.UNCONFIRMED]


def test_neither_a_lost_probe_nor_an_answer_without_proof_takes_a_proof_back() -> None:
    span, (icmp, udp) = OpenSpan(0), pod_tracks()
    span.observe([answer(probe(udp), confirmed=True), failure(probe(udp), Outcome.TIMEOUT), answer(probe(icmp))], 5)
    assert {window.flags for window in cut(span).values()} == {Flag.NONE}


def test_a_reused_address_is_never_a_success() -> None:
    span, (icmp, udp) = OpenSpan(0), pod_tracks()
    span.observe([answer(probe(udp), confirmed=True)], 4)
    span.observe([answer(probe(icmp))], 5)
    span.observe([failure(probe(udp), Outcome.WRONG_PEER)], 6)
    windows = cut(span)
    assert windows[icmp.id].flags == Flag.UNCONFIRMED
    assert windows[udp.id].failed == {Outcome.WRONG_PEER: 1}


def test_a_path_probed_more_rarely_than_reported_stays_confirmed_between_its_probes() -> None:
    span, one = OpenSpan(0), path(uid="uid-a")
    rare = Track(planned(one, interval_ms=60_000), Proofs().of(one.target))
    span.observe([answer(probe(rare), confirmed=True)], 0)
    flags = []
    for now in (100 * SECOND_NS, 121 * SECOND_NS):
        span.observe([answer(probe(rare))], now)
        flags.append(cut(span, now)[one.id].flags)
    assert flags == [Flag.NONE, Flag.UNCONFIRMED]


def test_a_span_of_any_length_counts_every_latency_and_keeps_few() -> None:
    span, one = OpenSpan(0), probe()
    assert one.track is not None
    for latency_ns in range(1, 3 * MOST_KEPT):
        span.observe([answer(one, latency_ns)], 5)
        assert len(one.track.tally.latencies_ns) < MOST_KEPT
    window = cut(span)[ID]
    assert (window.received, window.sum_ns) == (3 * MOST_KEPT - 1, sum(range(3 * MOST_KEPT)))
    assert (window.min_ns, window.max_ns) == (1, 3 * MOST_KEPT - 1)


def test_survive_08_every_window_of_an_ill_span_says_so() -> None:
    span = OpenSpan(0)
    span.observe([answer(probe())], 5)
    assert cut(span, ill=True)[ID].flags == Flag.ILL


def test_another_source_address_than_our_own_is_nat_and_only_where_we_know_our_own() -> None:
    seen = Observation(probe(), latency_ns=1, timed=Timed.KERNEL, facts={FactName.SOURCE: "192.0.2.9"})
    span = OpenSpan(0)
    span.observe([seen], 5)
    assert cut(span)[ID].flags == Flag.NONE
    span.own_addresses = frozenset({"10.30.1.1"})
    span.observe([seen], 15)
    assert cut(span)[ID].flags == Flag.NAT
    span.own_addresses = frozenset({"192.0.2.9"})
    span.observe([seen], 25)
    assert cut(span)[ID].flags == Flag.NONE


def test_measures_add_up_except_the_highest_sequence() -> None:
    span, one = OpenSpan(0), track()
    span.note(one, Note(path(), measures={Measure.DUPLICATES: 1, Measure.THROUGH_SEQUENCE: 9}))
    span.note(
        one, Note(path(), measures={Measure.DUPLICATES: 2, Measure.THROUGH_SEQUENCE: 7}, facts={FactName.HOP_LIMIT: "63"})
    )
    window = cut(span)[ID]
    assert window.measures == {Measure.DUPLICATES: 3, Measure.THROUGH_SEQUENCE: 9}
    assert window.facts == {FactName.HOP_LIMIT: "63"}
    assert window.sent == 0


def test_a_fact_that_stays_the_same_is_told_once_in_a_while_and_another_one_at_once() -> None:
    span, one = OpenSpan(0), track()
    told = []
    for _ in range(2 * REPEATED_AFTER + 1):
        span.note(one, Note(path(), facts={FactName.HOP_LIMIT: "63"}))
        told.append(bool(cut(span)[ID].facts))
    assert told[0]
    assert 2 <= sum(told) <= 4
    span.note(one, Note(path(), facts={FactName.HOP_LIMIT: "62"}))
    assert cut(span)[ID].facts == {FactName.HOP_LIMIT: "62"}


def test_phases_are_sums_over_received_probes_alone() -> None:
    span = OpenSpan(0)
    resolved = Probe(1, path(), "10.30.1.2", 50, track())
    failed = {Measure.CONNECT_NS: 400, Measure.RETRANSMITS: 2}
    span.observe([Observation(resolved, latency_ns=9, measures={Measure.CONNECT_NS: 4})], 5)
    span.observe([Observation(resolved, outcome=Outcome.TIMEOUT, measures=failed)], 5)
    assert cut(span)[ID].measures == {Measure.CONNECT_NS: 4, Measure.RESOLVE_NS: 50, Measure.RETRANSMITS: 2}


def test_what_is_planned_no_more_is_not_reported() -> None:
    span, one = OpenSpan(0), probe()
    assert one.track is not None
    span.observe([answer(one)], 5)
    one.track.is_planned = False
    span.observe([answer(one)], 6)
    assert cut(span) == {}
    one.track.is_planned = True
    span.observe([answer(one)], 7)
    assert cut(span)[ID].received == 1


def test_skipped_times_are_our_own() -> None:
    span = OpenSpan(0)
    span.skip(track(), 3)
    window = cut(span)[ID]
    assert (dict(window.local), window.sent) == ({Outcome.SKIPPED: 3}, 0)


def test_a_burst_that_was_answered_needs_the_proof_that_the_schedule_needs() -> None:
    span, (icmp, udp) = OpenSpan(0), pod_tracks()
    span.note(icmp, Note(icmp.path, {Measure.BURST_SENT: 2, Measure.BURST_LOST: 1}))
    assert cut(span)[icmp.id].flags == Flag.UNCONFIRMED
    span.note(icmp, Note(icmp.path, {Measure.BURST_SENT: 2, Measure.BURST_LOST: 2}))
    assert cut(span)[icmp.id].flags == Flag.NONE
    span.observe([answer(probe(udp), confirmed=True)], 20)
    span.note(icmp, Note(icmp.path, {Measure.BURST_SENT: 2}))
    assert cut(span, 20)[icmp.id].flags == Flag.NONE

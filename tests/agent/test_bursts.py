"""Bursts on virtual time: what an order can make an agent do, and what it cannot."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from agent.bursts import KINDS, OWN_BURSTS, OWN_PROBES, PATIENCE_NS, SPACING_NS, Bursts, Fate
from agent.identity import NEVER_NS, Proof
from agent.runner import QUIET_NS
from agent.stalls import STALL_NS
from agent.track import Track
from tests.agent.plans import SECOND_NS, answer, failure, path, planned, probe, track
from tests.agent.running import Bench
from wire.burst import MAX_BURSTS, MAX_PACKETS, MINUTE_NS, PACKETS_PER_SECOND, Burst
from wire.outcome import Outcome
from wire.path import Ask, Dns, Http, Kind, Layer, Tcp
from wire.window import Measure

SENT, LOST, ENDED, REFUSED = Measure.BURST_SENT, Measure.BURST_LOST, Measure.BURST_ENDED, Measure.BURST_REFUSED


def of_bursts(measures: Mapping[Measure, int]) -> dict[Measure, int]:
    return {measure: value for measure, value in measures.items() if measure in {SENT, LOST, ENDED, REFUSED}}


def tracks(count: int, ask: Ask | None = None) -> list[Track]:
    return [track(path(f"node/n{number}", address=f"10.30.1.{number + 1}", ask=ask)) for number in range(count)]


def confirming(bench: Bench, probes: int = MAX_PACKETS) -> None:
    bench.runner.confirm([Burst(bench.planned[0].path.id, probes)])


Order = tuple[int, int, int]


@given(
    st.lists(st.tuples(st.integers(0, 90 * SECOND_NS), st.integers(0, 5), st.integers(1, MAX_PACKETS)), max_size=60),
    st.lists(st.integers(SECOND_NS // 20, 3 * SECOND_NS), min_size=1, max_size=5),
)
@settings(max_examples=30, deadline=None)
def test_survive_56_no_orders_make_an_agent_send_more_than_its_own_limits(orders: list[Order], steps: list[int]) -> None:
    bursts, of_plan = Bursts(), [*tracks(3), *tracks(3, Tcp(port=1))]
    waiting, sent, now, turn = sorted(orders), list[tuple[int, int, int]](), 0, 0
    while now < 130 * SECOND_NS:
        while waiting and waiting[0][0] <= now:
            _, number, probes = waiting.pop(0)
            bursts.order(of_plan[number], probes, now)
        while (due := bursts.due(now)) is not None:
            sent.append((now, due.id, due.packets))
            bursts.judged([failure(probe(due), Outcome.TIMEOUT)], now)
        bursts.ended()
        now += SPACING_NS if bursts.is_sending else steps[turn % len(steps)]
        turn += 1
    for start, one, _ in sent:
        second = [packets for at, _, packets in sent if start <= at < start + SECOND_NS]
        minute = [packets for at, other, packets in sent if other == one and start <= at < start + MINUTE_NS]
        assert sum(second) <= PACKETS_PER_SECOND
        assert sum(minute) <= MAX_PACKETS


def test_a_burst_is_even_and_not_all_at_once() -> None:
    bursts = Bursts()
    bursts.order(track(), MAX_PACKETS, 0)
    sent = [now for now in range(0, SECOND_NS, SPACING_NS // 4) if bursts.due(now) is not None]
    assert len(sent) == MAX_PACKETS
    assert all(after - before == SPACING_NS for before, after in pairwise(sent))


def test_a_handshake_is_three_packets() -> None:
    bursts = Bursts()
    bursts.order(tracks(1, Tcp(port=1))[0], MAX_PACKETS, 0)
    assert sum(bursts.due(now) is not None for now in range(0, 5 * SECOND_NS, SPACING_NS)) == MAX_PACKETS // 3


def test_bursts_take_turns() -> None:
    bursts, both = Bursts(), tracks(2)
    for one in both:
        bursts.order(one, 3, 0)
    sent = [due.id for now in range(0, SECOND_NS, SPACING_NS) if (due := bursts.due(now)) is not None]
    assert sent == [both[0].id, both[1].id] * 3


@pytest.mark.parametrize("ask", [Http(port=80), Dns(name="a.test.")], ids=["http", "dns"])
def test_no_server_is_asked_in_a_burst(ask: Ask) -> None:
    bursts, one = Bursts(), track(path(ask=ask))
    assert one.path.kind not in KINDS
    assert bursts.order(one, 5, 0) is not None
    assert not bursts


def test_survive_57_no_host_outside_of_the_cluster_gets_a_burst() -> None:
    bursts = Bursts()
    outside = structs.replace(path(), layer=Layer.EXTERNAL)
    bursts.order(Track(planned(outside)), 5, 0)
    bursts.order(track(path(host="good.test")), 5, 0)
    assert (bool(bursts), bursts.counts) == (False, {Fate.KIND: 2})


def test_an_order_for_a_path_of_no_plan_does_nothing() -> None:
    bench = Bench()
    bench.runner.confirm([Burst(12345)])
    bench.run(2.1)
    assert bench.runner.bursts.counts == {Fate.NOT_PLANNED: 1}
    assert of_bursts(bench.total().measures) == {}


def test_there_is_an_end_to_how_many_bursts_wait() -> None:
    bursts = Bursts()
    for one in tracks(MAX_BURSTS + 3):
        bursts.order(one, MAX_PACKETS, 0)
    assert bursts.counts == {Fate.TAKEN: MAX_BURSTS, Fate.QUEUE: 3}


def test_what_waited_too_long_is_not_sent_any_more() -> None:
    bursts = Bursts()
    bursts.order(track(), MAX_PACKETS, 0)
    assert bursts.due(PATIENCE_NS) is None
    assert [note.measures for _, note, _ in bursts.ended()] == [{ENDED: 1}]
    assert (bool(bursts), bursts.counts) == (False, {Fate.TAKEN: 1, Fate.CUT: 1})


def test_a_burst_adds_nothing_to_the_counts_of_the_schedule() -> None:
    """Otherwise every loss would be counted as often as it was looked at."""
    bench = Bench()
    bench.run(3.05)
    confirming(bench)
    bench.run(7.05)
    window = bench.total()
    assert (window.sent, window.received, sum(window.latency.values())) == (10, 10, 10)
    assert of_bursts(window.measures) == {SENT: MAX_PACKETS, ENDED: 1}
    assert window.measures[Measure.BURST_NS] == MAX_PACKETS * 1_000_000
    assert bench.runner.counts == {(Kind.ICMP, "received"): 10}
    assert bench.runner.bursts.probes == {(Kind.ICMP, None): MAX_PACKETS}


def test_loss_in_a_burst_is_told_apart_and_is_no_first_loss() -> None:
    bench = Bench()
    bench.run(2.05)
    bench.fake.answers = False
    confirming(bench, 4)
    bench.run(0.2)
    bench.fake.answers = True
    bench.run(3)
    window = bench.total()
    assert (window.lost, of_bursts(window.measures)) == (0, {SENT: 4, LOST: 4, ENDED: 1})
    assert bench.hurried == 0
    assert bench.answered == 1


def test_a_probe_of_a_burst_that_nobody_expects_any_more_is_in_no_window() -> None:
    """Two entries of one path would have the collector refuse the whole report."""
    bench = Bench(answers=False)
    bench.run(0.01)
    confirming(bench, 3)
    bench.run(0.2)
    bench.runner.bursts._of.clear()
    bench.run(2)
    (found,) = bench.windows()
    assert of_bursts(found.measures) == {}


def test_what_a_burst_hears_of_who_answers_holds_for_the_path() -> None:
    bursts, proof = Bursts(), Proof()
    one = Track(planned(path(uid="uid-a")), proof)
    bursts.order(one, 2, 0)
    sent = [due for now in range(0, SECOND_NS, SPACING_NS) if (due := bursts.due(now)) is not None]
    bursts.judged([answer(probe(sent[0]), confirmed=True)], 70)
    assert proof.proved_ns == 70
    bursts.judged([failure(probe(sent[1]), Outcome.WRONG_PEER)], 80)
    assert proof.proved_ns == NEVER_NS


def test_a_refusal_in_a_burst_is_told() -> None:
    bench = Bench(planned(path(ask=Tcp(port=1))), at_once=Outcome.REFUSED)
    bench.run(0.05)
    bench.span.cut(bench.now, report_ns=SECOND_NS, ill=False)
    confirming(bench, 2)
    bench.run(0.5)
    assert of_bursts(bench.total().measures) == {SENT: 2, LOST: 2, REFUSED: 2, ENDED: 1}


def test_a_first_loss_is_confirmed_without_being_asked_and_counted_once() -> None:
    bench = Bench(planned(path(uid="uid-a")), answers=False)
    bench.run(3.95)
    window = bench.total()
    assert window.failed == {Outcome.TIMEOUT: 3}
    assert of_bursts(window.measures) == {SENT: OWN_PROBES, LOST: OWN_PROBES, ENDED: 1}
    assert bench.hurried == 1
    assert bench.answered == 0, "nobody waits for it, so it takes no report of its own"
    bench.run(QUIET_NS / SECOND_NS)
    assert bench.runner.bursts.counts[Fate.OWN] == 1, "a path that loses all the time has had its first loss"


def test_the_collectors_burst_has_what_the_agents_own_left_of_the_minute() -> None:
    bench = Bench(planned(path(uid="uid-a")), answers=False)
    bench.run(1.05)
    confirming(bench)
    bench.run(5)
    assert of_bursts(bench.total().measures) == {SENT: MAX_PACKETS, LOST: MAX_PACKETS, ENDED: 1}
    confirming(bench)
    bench.run(2)
    assert of_bursts(bench.total().measures) == {ENDED: 1}, "refused, and said so at once"


def test_where_everything_is_lost_an_agent_confirms_a_few_by_itself() -> None:
    bursts = Bursts()
    for number in range(30):
        bursts.suspect(track(path(f"pod/a/{number}", uid=f"uid-{number}")), 0)
    assert bursts.counts == {Fate.OWN: OWN_BURSTS}


def test_survive_57_a_service_that_everybody_sees_lose_is_not_asked_by_all_of_them_at_once() -> None:
    bursts = Bursts()
    service = structs.replace(path("service/shop/cart", ask=Tcp(port=80)), layer=Layer.SERVICE)
    for one in (service, path("pod/shop/cart-0", ask=Tcp(port=80))):
        bursts.suspect(track(one), 0)
    assert not bursts
    bursts.suspect(track(structs.replace(path("node/n2"), layer=Layer.HOST)), 0)
    assert bursts


def test_survive_08_a_stall_of_ours_is_no_loss_in_a_burst() -> None:
    bench = Bench(answers=False)
    bench.run(0.01)
    confirming(bench, 3)
    bench.run(0.2)
    bench.now += STALL_NS + SECOND_NS
    bench.run(0.1)
    assert of_bursts(bench.total().measures) == {ENDED: 1}


def test_a_burst_ends_with_the_plan_that_its_path_is_of() -> None:
    bench = Bench(planned(), planned(path("node/n2")))
    confirming(bench)
    bench.run(0.1)
    bench.runner.replan(bench.planned[1:], 0)
    bench.run(2)
    assert bench.runner.bursts.counts == {Fate.TAKEN: 1, Fate.CUT: 1}
    assert not bench.runner.bursts


def test_a_kind_that_cannot_be_sent_ends_the_burst() -> None:
    bench = Bench(reason="no socket")
    confirming(bench)
    bench.run(0.5)
    assert (bench.runner.bursts.counts[Fate.CUT], bool(bench.runner.bursts)) == (1, False)
    assert len(bench.fake.sent) == 0


def test_an_agent_that_leaves_begins_no_burst() -> None:
    bench = Bench()
    bench.runner.stop()
    confirming(bench)
    assert not bench.runner.bursts

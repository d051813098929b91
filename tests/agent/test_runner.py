"""The runner on virtual time."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.limits import Limits
from agent.probes.prober import Context, Note
from agent.runner import QUIET_NS, Runner
from agent.schedule import LONGEST_TICK_NS, TICK_NS, first_due, tick_of
from agent.stalls import STALL_NS
from agent.windows import OpenSpan
from tests.agent.plans import SECOND_NS, path, paths, planned
from tests.agent.running import Bench, FakeProber
from wire.outcome import Outcome
from wire.path import Family, Kind, Tcp
from wire.report import unpack
from wire.window import Measure


def test_ten_seconds_are_ten_probes_and_ten_answers() -> None:
    bench = Bench()
    bench.run(10.1)
    window = bench.total()
    assert (window.received, window.sent, dict(window.local)) == (10, 10, {})
    assert bench.runner.counts == {(Kind.ICMP, "received"): 10}


def test_silence_is_loss_and_the_prober_is_told_to_forget() -> None:
    bench = Bench(answers=False)
    bench.run(4)
    bench.runner.replan([], 0)
    bench.runner.replan(bench.planned, 10**15)
    bench.run(2)
    assert bench.total().failed == {Outcome.TIMEOUT: 4}
    assert len(bench.fake.forgotten) == 4


def test_survive_08_a_stall_of_three_seconds_is_never_loss() -> None:
    bench = Bench(answers=False)
    bench.until_in_flight()
    assert len(bench.runner.flights) == 1
    bench.now += 3 * SECOND_NS
    bench.runner.tick(bench.now)
    window = bench.total()
    assert dict(window.failed) == {}
    assert window.local == {Outcome.PAUSED: 1, Outcome.SKIPPED: 2}


def test_survive_08_what_arrived_during_a_stall_is_an_answer() -> None:
    bench = Bench()
    bench.until_in_flight()
    bench.now += 3 * SECOND_NS
    bench.runner.tick(bench.now)
    assert bench.total().received == 1


def test_a_stall_shorter_than_the_threshold_excuses_nothing() -> None:
    bench = Bench(planned(timeout_ms=100), answers=False)
    bench.until_in_flight()
    bench.now += STALL_NS
    bench.runner.tick(bench.now)
    assert bench.total().failed == {Outcome.TIMEOUT: 1}


def test_survive_06_a_suspended_machine_loses_nothing() -> None:
    bench = Bench(answers=False)
    bench.until_in_flight()
    bench.slept[0] += 3600 * SECOND_NS
    bench.runner.tick(bench.now)
    window = bench.total()
    assert (dict(window.failed), dict(window.local)) == ({}, {Outcome.PAUSED: 1})


@pytest.mark.parametrize("word", [Outcome.NO_FD, Outcome.NO_BUFFER, Outcome.NO_PORT])
def test_survive_29_30_31_a_shortage_of_our_own_is_local_and_backs_off_and_recovers(word: Outcome) -> None:
    bench = Bench(at_once=word)
    bench.run(40)
    window = bench.total()
    assert (window.sent, dict(window.local)) == (0, {word: 40})
    assert len(bench.fake.sent) < 8, "withheld while there is a shortage"
    type(bench.fake).at_once = None
    bench.run(40)
    assert bench.total().received >= 20, "recovers without a restart"
    assert bench.runner._relief.pause_ns == {}, "and the next shortage begins anew"


def test_a_kind_that_cannot_be_sent_is_unsupported_and_never_loss() -> None:
    bench = Bench(reason="not permitted")
    bench.run(5)
    assert dict(bench.total().local) == {Outcome.UNSUPPORTED: 5}
    assert bench.runner.unsupported() == ("icmp/ipv4",)
    assert bench.fake.sent == []


def test_a_kind_that_we_do_not_have_is_unsupported() -> None:
    bench = Bench()
    del bench.runner._probers[Kind.TCP]
    bench.planned = (planned(path(ask=Tcp(port=1))),)
    bench.runner.replan(bench.planned, 0)
    bench.run(2)
    assert set(bench.total().local) == {Outcome.UNSUPPORTED}


def test_a_fault_in_a_prober_is_internal_and_ends_nothing() -> None:
    bench = Bench(fault=ZeroDivisionError())
    bench.run(3)
    assert dict(bench.total().local) == {Outcome.INTERNAL: 3}


def test_survive_56_a_burst_waits_for_the_packet_budget_and_is_not_lost() -> None:
    bench = Bench(*paths(100), limits=Limits(max_pps=10))
    bench.run(10)
    assert 90 <= len(bench.fake.sent) <= 100
    window_words = set(merge_all(bench))
    assert window_words <= {Outcome.SKIPPED}


def test_seconds_that_ask_for_more_than_the_budget_make_probes_late_and_skip_none() -> None:
    slow = [planned(path(f"pod/shop/cart-{i}", ask=Tcp(80)), interval_ms=4000) for i in range(20)]
    bench = Bench(*paths(12), *slow, limits=Limits(max_pps=30))
    bench.run(60)
    assert merge_all(bench) == {}
    assert len(bench.fake.sent) == pytest.approx(12 * 60, abs=12)


def merge_all(bench: Bench) -> dict[Outcome, int]:
    words: dict[Outcome, int] = {}
    for window in bench.windows():
        for word, count in {**window.failed, **window.local}.items():
            words[word] = words.get(word, 0) + count
    return words


def test_survive_56_peers_beyond_the_budget_of_a_minute_are_skipped() -> None:
    bench = Bench(*paths(6), limits=Limits(max_peers=4))
    bench.run(3)
    assert len({one.path.target.peer for one in bench.fake.sent}) == 4
    assert set(merge_all(bench)) == {Outcome.SKIPPED}


def test_only_the_first_loss_of_a_path_is_urgent() -> None:
    bench = Bench(*paths(2), answers=False)
    bench.run(10)
    assert bench.hurried == 2


def test_a_loss_is_a_first_one_again_after_a_quiet_time_on_its_own_path() -> None:
    bench = Bench(answers=False)
    bench.run(10)
    type(bench.fake).answers = True
    bench.run(QUIET_NS / SECOND_NS - 5)
    type(bench.fake).answers = False
    bench.run(3)
    assert bench.hurried == 1, "less than a minute after the one before"
    type(bench.fake).answers = True
    bench.run(QUIET_NS / SECOND_NS + 5)
    type(bench.fake).answers = False
    bench.run(10)
    assert bench.hurried == 2


def test_our_own_faults_are_not_urgent() -> None:
    bench = Bench(at_once=Outcome.NO_FD)
    bench.run(10)
    assert bench.hurried == 0


def test_there_is_no_tick_while_nothing_is_due_or_in_flight() -> None:
    bench = Bench(planned(interval_ms=60_000))
    due = first_due(bench.planned[0].path.id, 60 * SECOND_NS, 0)
    wake_at = bench.runner.wake_at(0)
    assert wake_at is not None
    assert due <= wake_at < due + bench.runner.tick_ns
    bench.runner.replan([], 0)
    assert bench.runner.wake_at(0) is None


def test_few_probes_wake_the_agent_less_often_but_never_less_than_five_times_in_the_shortest_time_to_wait() -> None:
    assert tick_of(paths(4000)) == tick_of([]) == TICK_NS
    assert tick_of(paths(500, timeout_ms=1000)) == LONGEST_TICK_NS
    assert tick_of(paths(2000, timeout_ms=1000)) == 2 * TICK_NS
    assert tick_of([*paths(1, timeout_ms=1000), *paths(1, timeout_ms=500)]) == 2 * TICK_NS
    assert tick_of(paths(1, timeout_ms=1)) == TICK_NS


def test_duplicates_are_noted_and_are_no_answers() -> None:
    bench = Bench()
    bench.fake.arrived.append(Note(path(), measures={Measure.DUPLICATES: 1}))
    bench.now = SECOND_NS
    bench.runner.tick(bench.now)
    window = bench.total()
    assert window.measures == {Measure.DUPLICATES: 1}


def test_what_comes_back_for_a_path_of_an_earlier_plan_is_not_reported() -> None:
    bench = Bench()
    bench.until_in_flight()
    bench.runner.replan([], 0)
    bench.run(1)
    assert bench.windows() == []


@pytest.mark.parametrize(
    ("host", "outcome"),
    [("good.test", None), ("evil.test", Outcome.FORBIDDEN), ("gone.test", Outcome.DNS_NXDOMAIN), ("x.test", Outcome.INTERNAL)],
)
async def test_names_are_resolved_before_the_probe_and_every_address_is_checked(host: str, outcome: Outcome | None) -> None:
    bench = Bench(planned(path("external/x", host=host)))
    async with asyncio.TaskGroup() as tasks:
        bench.runner._names.tasks = tasks
        for _ in range(22):
            bench.runner.tick(bench.now)
            await asyncio.sleep(0)
            bench.now += TICK_NS
    window = bench.total()
    if outcome is None:
        assert window.received == 1
        assert window.measures == {Measure.RESOLVE_NS: 7}
        assert [one.address for one in bench.fake.sent] == ["10.1.2.3"]
    else:
        assert {**window.failed, **window.local} == {outcome: 1}
        assert bench.fake.sent == []


@pytest.mark.parametrize("tick_first", [False, True])
@pytest.mark.parametrize(("stall_ns", "outcome"), [(0, Outcome.DNS_TIMEOUT), (2 * SECOND_NS, Outcome.PAUSED)])
async def test_survive_08_a_stall_while_a_name_is_resolved_is_never_loss(
    stall_ns: int, outcome: Outcome, *, tick_first: bool
) -> None:
    bench = Bench(planned(path("external/x", host="good.test"), interval_ms=60_000))
    answered = asyncio.Event()

    async def resolve(_host: str, _family: Family) -> tuple[Sequence[str], Outcome | None, int]:
        await answered.wait()
        return [], Outcome.DNS_TIMEOUT, 0

    bench.runner._names.resolve = resolve
    async with asyncio.TaskGroup() as tasks:
        bench.runner._names.tasks = tasks
        while not bench.runner._names:
            bench.runner.tick(bench.now)
            bench.now += TICK_NS
        wake_at = bench.runner.wake_at(bench.now)
        assert wake_at is not None
        assert bench.now < wake_at <= bench.now + bench.runner.tick_ns
        await asyncio.sleep(0)
        bench.now += stall_ns
        if tick_first:
            bench.runner.tick(bench.now)
        answered.set()
    bench.runner.tick(bench.now)
    window = bench.total()
    assert {**window.failed, **window.local} == {outcome: 1}


async def test_stop_waits_for_what_is_in_flight_and_releases_everything() -> None:
    span, made = OpenSpan(0), type("Made", (FakeProber,), {"latency_ns": 1000})
    runner = Runner({Kind.ICMP: made}, Context(), Limits(min_interval_ns=1), span, Bench().resolve)
    prober = runner._probers[Kind.ICMP]
    assert isinstance(prober, FakeProber)
    one = planned(interval_ms=50, timeout_ms=50)
    runner.replan([one], 0)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runner.run())
        while len(prober.sent) < 2:  # noqa: ASYNC110 - there is nothing to wait for but time
            await asyncio.sleep(0.005)
        runner.stop()
        await running
    assert prober.closed
    assert len(runner.flights) == 0
    assert sum(w.received for w in unpack(span.cut(1, report_ns=1, ill=False))) == len(prober.sent)


def test_what_a_prober_sends_later_is_taken_from_the_packet_budget_too() -> None:
    bench = Bench(limits=Limits(max_pps=10))
    assert bench.fake.context.spend(6)
    assert not bench.fake.context.spend(6)
    bench.now += SECOND_NS
    assert bench.fake.context.spend(6)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(1, 3_000_000_000), st.sampled_from([-1, 0, 300, 1000, 1500, 10_000])), min_size=1, max_size=40
    )
)
def test_survive_56_no_two_probes_of_a_path_are_closer_than_nine_tenths_of_its_interval_and_of_the_floor(
    steps: list[tuple[int, int]],
) -> None:
    """Whatever stalls and plans do, a plan that leaves the path out included (-1)."""
    bench, interval_ms = Bench(planned(interval_ms=1000), limits=Limits(min_interval_ns=SECOND_NS)), 1000
    sent: list[int] = []
    for step, changed_to in steps:
        bench.now += step
        before = len(bench.fake.sent)
        bench.runner.tick(bench.now)
        if len(bench.fake.sent) > before:
            assert not sent or bench.now - sent[-1] >= max(interval_ms, 1000) * 900_000
            sent.append(bench.now)
        if changed_to:
            interval_ms = changed_to if changed_to > 0 else interval_ms
            bench.runner.replan([planned(interval_ms=interval_ms)] if changed_to > 0 else [], bench.now)

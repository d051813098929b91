"""Bursts of the cluster on virtual time: who is asked, how often, and what is heard of it."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import pytest
from msgspec import structs

from collector.bursts import (
    AGAIN_NS,
    BY_ITSELF_NS,
    FEW,
    FULL_SECONDS,
    KEPT_NS,
    PER_TARGET,
    PER_VANTAGE,
    STALE_NS,
    TARGET_SECONDS,
    VANTAGE_SECONDS,
    Bursts,
    Fate,
    Result,
)
from collector.matrix.suspects import Suspect, suspects
from collector.settings import BurstSettings
from tests.collector.small_cluster import SECOND, matrix_of, path_to, report_of, window
from wire.burst import MAX_BURSTS, MAX_PACKETS, Burst
from wire.outcome import Outcome
from wire.window import Flag, Measure, Window

SENT, LOST, ENDED, TOTAL = Measure.BURST_SENT, Measure.BURST_LOST, Measure.BURST_ENDED, Measure.BURST_NS


class Bench:
    """Bursts, their clock, and the small cluster's paths."""

    def __init__(self, settings: BurstSettings | None = None, *, planned: float = 0.0) -> None:
        self.now = 1000 * SECOND
        self.counts: Counter[Fate] = Counter()
        self.matrix = matrix_of()
        self.settings = settings or BurstSettings()
        self.bursts = Bursts(
            settings=lambda: self.settings,
            find=partial(suspects, self.matrix),
            now_ns=lambda: self.now,
            count=self.count,
        )
        self.bursts.install(planned, ("n1", "n2", "n3", "cart"))

    def count(self, fate: Fate, times: int) -> None:
        self.counts[fate] += times

    def path(self, target: str = "n2", kind: str = "udp", source: str = "n1") -> int:
        return path_to(self.matrix, source, target, kind).id

    def suspect(self, target: str = "n2", source: str = "n1") -> Suspect:
        return suspects(self.matrix, source, [self.path(target, source=source)])[0]

    def took(self, *windows: Window, vantage: str = "n1", urgent: bool = False, leaving: bool = False) -> tuple[Burst, ...]:
        return self.bursts.took(structs.replace(report_of(vantage, windows), urgent=urgent, leaving=leaving))


def many(count: int, *, targets: int = 1000, vantage: str = "") -> Sequence[Suspect]:
    return [Suspect(vantage or f"v{number}", number, f"pod/a/{number % targets}") for number in range(count)]


def test_a_loss_in_an_urgent_report_is_looked_at_in_its_own_acknowledgement() -> None:
    bench = Bench()
    lost = bench.path()
    fine = window(bench.path("n3"), [1_000_000])
    given = bench.took(window(lost, failed={Outcome.TIMEOUT: 1}), fine, urgent=True)
    assert given == (Burst(lost, MAX_PACKETS),)
    assert bench.counts == {Fate.GIVEN: 1}


def test_an_answer_that_was_late_is_a_loss_too() -> None:
    bench = Bench()
    assert bench.took(window(bench.path(), late=1), urgent=True) == (Burst(bench.path()),)


def test_no_other_report_asks_for_bursts_by_itself() -> None:
    bench = Bench()
    assert bench.took(window(bench.path(), failed={Outcome.TIMEOUT: 1})) == ()


def test_a_loss_of_long_ago_is_no_reason_to_look_now() -> None:
    bench = Bench()
    lost = report_of("n1", [window(bench.path(), failed={Outcome.TIMEOUT: 1})], age_ns=STALE_NS)
    assert bench.bursts.took(structs.replace(lost, urgent=True)) == ()


def test_our_own_fault_is_no_reason_to_look_again() -> None:
    bench = Bench()
    ours = window(bench.path(), local={Outcome.NO_PORT: 1})
    ill = window(bench.path("n3"), failed={Outcome.TIMEOUT: 1}, flags=Flag.ILL)
    assert bench.took(ours, ill, urgent=True) == ()


def test_an_order_for_a_kind_that_is_no_kind_for_bursts_is_not_given() -> None:
    bench = Bench()
    outside = bench.path("example", "http")
    assert bench.took(window(outside, failed={Outcome.TIMEOUT: 1}), urgent=True) == ()


def test_an_order_is_given_once() -> None:
    bench = Bench()
    assert bench.bursts.ask([bench.suspect()]) == 1
    assert bench.took() == (Burst(bench.path()),)
    assert bench.took() == ()


def test_a_handshake_counts_as_three_packets() -> None:
    bench = Bench()
    service = suspects(bench.matrix, "n1", [bench.path("shop/cart", "tcp")])
    bench.bursts.ask(service)
    assert bench.took() == (Burst(service[0].path, MAX_PACKETS // 3),)


def test_a_path_that_is_dead_for_an_hour_is_looked_at_six_times() -> None:
    bench = Bench()
    given = 0
    for _ in range(360):
        given += len(bench.took(window(bench.path(), failed={Outcome.TIMEOUT: 1}), urgent=True))
        bench.now += 10 * SECOND
    assert given == 3600 * SECOND // BY_ITSELF_NS


def test_whoever_judges_may_ask_again_after_a_minute() -> None:
    bench = Bench()
    assert [bench.bursts.ask([bench.suspect()]) for _ in range(2)] == [1, 0]
    bench.now += AGAIN_NS
    assert bench.bursts.ask([bench.suspect()]) == 1
    assert bench.counts == {Fate.REPEATED: 1}


def test_many_losses_in_one_report_are_looked_at_with_fewer_probes_each() -> None:
    bench = Bench()
    lost = [bench.path(target, kind) for target in ("n2", "n3", "cart-0") for kind in ("udp", "icmp")]
    given = bench.took(*[window(path, failed={Outcome.TIMEOUT: 1}) for path in sorted(lost)], urgent=True)
    assert len(lost) > FEW
    assert {burst.path for burst in given} == set(lost)
    assert {burst.probes for burst in given} == {MAX_PACKETS // 2}


@pytest.mark.parametrize(("planned", "rate"), [(0.0, 100), (5_000.0, 100), (100_000.0, 1000)])
def test_the_whole_cluster_has_one_rate_which_is_a_share_of_its_plan(planned: float, rate: int) -> None:
    bench = Bench(planned=planned)
    asked, all_paths = 0, many(6000)
    for second in range(100):
        asked += bench.bursts.ask(all_paths[60 * second : 60 * second + 60])
        bench.now += SECOND
    packets = asked * MAX_PACKETS
    assert rate * 99 - MAX_PACKETS <= packets <= rate * (99 + FULL_SECONDS)
    assert bench.counts[Fate.RATE] > 0


def test_survive_57_a_target_is_looked_at_from_everywhere_at_no_more_than_its_own_rate() -> None:
    bench = Bench(planned=10**6)
    asked = bench.bursts.ask(many(1000, targets=1))
    assert asked * MAX_PACKETS == PER_TARGET * TARGET_SECONDS
    assert bench.counts[Fate.TARGET] == 1000 - asked


def test_survive_57_one_vantage_that_says_it_loses_everything_does_not_use_up_the_clusters_rate() -> None:
    bench = Bench()
    given = 0
    for second in range(60):
        for path in (bench.path(target, kind) for target in ("n2", "n3", "cart-0") for kind in ("udp", "icmp")):
            given += sum(burst.probes for burst in bench.took(window(path, failed={Outcome.TIMEOUT: 1}), urgent=True))
        bench.bursts._asked.clear()  # as if each time it were other paths
        bench.now += SECOND
        assert given <= PER_VANTAGE * (second + 1 + VANTAGE_SECONDS)
    assert given >= PER_VANTAGE * 59
    assert bench.bursts.ask([bench.suspect("n1", source="n2")]) == 1


def test_an_order_that_nobody_comes_for_is_dropped() -> None:
    bench = Bench()
    bench.bursts.ask([bench.suspect()])
    bench.now += KEPT_NS
    assert bench.took() == ()
    assert bench.counts == {Fate.EXPIRED: 1}


def test_an_agent_that_leaves_is_asked_for_nothing() -> None:
    bench = Bench()
    bench.bursts.ask([bench.suspect()])
    assert bench.took(leaving=True) == ()


def test_orders_of_a_vantage_that_is_gone_are_forgotten() -> None:
    bench = Bench()
    bench.bursts.ask([bench.suspect()])
    bench.bursts.install(0.0, ("n2",))
    assert bench.took() == ()


def test_what_does_not_fit_into_one_acknowledgement_comes_with_the_next() -> None:
    bench = Bench(planned=10**6)
    bench.bursts.ask(many(MAX_BURSTS + 5, vantage="n1"))
    assert [len(bench.took()) for _ in range(3)] == [MAX_BURSTS, 5, 0]


def test_what_people_wait_for_is_asked_in_turn_and_not_refused() -> None:
    bench = Bench(BurstSettings(least=10))
    changes: list[int] = []
    watch = bench.bursts.watch(many(30), probes=5, on_change=lambda: changes.append(1))
    given = 0
    for _ in range(60):
        bench.now += SECOND
        given += sum(len(bench.took(vantage=f"v{number}")) for number in range(30))
    assert (given, len(watch.pending), bench.counts[Fate.RATE]) == (30, 30, 0)


def test_what_a_burst_found_reaches_whoever_waits_for_it() -> None:
    bench = Bench()
    changes: list[int] = []
    watch = bench.bursts.watch([bench.suspect()], probes=5, on_change=lambda: changes.append(1))
    path = bench.path()
    earlier = window(path, measures={SENT: 5, LOST: 5, ENDED: 1})
    assert bench.took(earlier) == (Burst(path, 5),), "what is heard before the order was given is of another burst"
    assert watch.results["n1", path] == Result()
    bench.took(window(path, measures={SENT: 3, TOTAL: 3000}))
    assert watch.pending
    bench.took(window(path, measures={SENT: 2, LOST: 1, TOTAL: 900, ENDED: 1}))
    assert watch.results["n1", path] == Result(sent=5, lost=1, refused=0, total_ns=3900, ended=1)
    assert (watch.pending, len(changes)) == (set(), 2)


def test_of_an_ill_agent_it_is_only_heard_that_its_burst_is_over() -> None:
    bench = Bench()
    watch = bench.bursts.watch([bench.suspect()], probes=5, on_change=lambda: None)
    bench.took()
    bench.took(window(bench.path(), measures={SENT: 5, LOST: 5, ENDED: 1}, flags=Flag.ILL))
    assert (watch.results["n1", bench.path()], watch.pending) == (Result(ended=1), set())


def test_nobody_is_asked_for_somebody_who_has_gone() -> None:
    bench = Bench()
    watch = bench.bursts.watch([bench.suspect(), bench.suspect("n3")], probes=5, on_change=lambda: None)
    bench.bursts.unwatch(watch)
    assert bench.took() == ()


def test_a_suspect_is_always_a_path_of_the_plan() -> None:
    bench = Bench()
    assert suspects(bench.matrix, "n1", [1, 2**64 - 1, bench.path(source="n2", target="n1")]) == []
    assert suspects(bench.matrix, "gone", [bench.path()]) == []

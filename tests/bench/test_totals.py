"""Reports are added up once each, by kind."""

from bench.agents import plan_of
from bench.totals import Ledger, Totals, since
from wire.outcome import Outcome
from wire.path import Icmp, Kind, Udp
from wire.report import Report, pack
from wire.window import Measure, Window

PLAN = plan_of([("10.0.0.1", Icmp()), ("10.0.0.2", Icmp()), ("10.0.0.1", Udp(8620))], interval_ms=1000)
FIRST, SECOND, UDP = (planned.path.id for planned in PLAN.paths)


def report(sequence: int, *windows: Window) -> Report:
    return Report("bench", 1, b"b" * 16, sequence, 0, 1, 1, 0, pack(windows))


def test_windows_are_added_up_by_kind() -> None:
    ledger = Ledger(PLAN)
    lost = {Outcome.TIMEOUT: 3, Outcome.UNREACHABLE: 1}
    directions = {Measure.FORWARD_LOST: 4, Measure.BACKWARD_LOST: 5}
    ledger.add(report(1, Window(FIRST, failed=lost, late=2), Window(UDP, measures=directions)), 0)
    ledger.add(report(2, Window(SECOND, failed={Outcome.TIMEOUT: 1}, local={Outcome.PAUSED: 6, Outcome.SKIPPED: 7})), 0)
    assert ledger.state.totals == {
        Kind.ICMP: Totals(late=2, lost=5, paused=6),
        Kind.UDP: Totals(forward_lost=4, backward_lost=5),
    }


def test_a_repeated_report_counts_once() -> None:
    ledger = Ledger(PLAN)
    for _ in range(2):
        ledger.add(report(1, Window(FIRST, failed={Outcome.TIMEOUT: 1})), 0)
    assert ledger.state.totals[Kind.ICMP].lost == 1


def test_what_is_reported_ends_with_the_span_and_not_with_its_delivery() -> None:
    ledger = Ledger(PLAN)
    ledger.add(Report("bench", 1, b"b" * 16, 1, 0, 1, 1, 40, pack([])), 100)
    assert ledger.state.through_ns == 60


def test_a_difference_is_of_every_count() -> None:
    before, after = Totals(1, 2, 3, 4, 5, 6), Totals(11, 22, 33, 44, 55, 66)
    assert since({Kind.ICMP: before}, {Kind.ICMP: after}) == {Kind.ICMP: Totals(10, 20, 30, 40, 50, 60)}

import asyncio
import itertools
from types import SimpleNamespace

from msgspec import structs

from collector.discovery.snapshot import Snapshot
from collector.plan.compose import Plans, compose
from collector.rows import SLICE_SECONDS, Rows
from collector.settings import PlanSettings
from tests.collector.small_cluster import SNAPSHOT, composed, matrix_of, report_of
from wire.plan import Plan
from wire.report import Report


class Laid:
    """A matrix that only says what was asked of it; the real one is asked in the last test."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def replan(self, _snapshot: Snapshot, plans: Plans) -> None:
        self.said.append(f"replan {len(plans)}")

    def lay(self, vantage: str, plan: Plan) -> None:
        assert plan.identity.vantage == vantage
        self.said.append(f"lay {vantage}")

    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None:
        assert arrived_ns
        assert counted
        self.said.append(f"apply {report.vantage}")


def slow(rows: int) -> tuple[Rows, list[str]]:
    """Rows of which so many fit into a slice, and what becomes of them."""
    ticks = itertools.count()
    laid = Laid()
    return Rows(laid, now=lambda: next(ticks) * SLICE_SECONDS / (rows + 0.5)), laid.said


def test_survive_20_rows_are_laid_in_slices_and_not_all_at_once() -> None:
    rows, said = slow(2)
    rows.install(SNAPSHOT, composed())
    assert said == ["replan 4", "lay cart", "lay n1"]


async def test_all_rows_are_laid_in_the_end_each_once() -> None:
    rows, said = slow(1)
    rows.install(SNAPSHOT, composed())
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(rows.follow())
        while rows._waiting or rows._more.is_set():  # noqa: ASYNC110 - nobody says when there is nothing more to do
            await asyncio.sleep(0.01)
        following.cancel()
    assert said == ["replan 4", "lay cart", "lay n1", "lay n2", "lay n3"]


def test_a_row_is_laid_before_its_plan_goes_out_and_before_its_first_report_counts() -> None:
    rows, said = slow(1)
    rows.install(SNAPSHOT, composed())
    rows.handed("n3", composed().plan("n3"))
    rows.apply(report_of("n3"), arrived_ns=1, counted=True)
    rows.apply(report_of("n2"), arrived_ns=1, counted=True)
    assert said == ["replan 4", "lay cart", "lay n3", "apply n3", "lay n2", "apply n2"]


def test_a_row_is_laid_anew_only_where_its_plan_is_another() -> None:
    rows, said = slow(9)
    before = composed()
    rows.install(SNAPSHOT, before)
    smaller = structs.replace(SNAPSHOT, external=())
    same = compose(SNAPSHOT, PlanSettings(), instance=1, generation=2, keys=()).following(before)
    other = compose(smaller, PlanSettings(), instance=1, generation=3, keys=()).following(same)
    del said[:]
    rows.install(SNAPSHOT, same)
    rows.apply(report_of("n1"), arrived_ns=1, counted=True)
    assert said == ["replan 4", "apply n1"]
    rows.handed("n1", other.plan("n1"))
    rows.install(smaller, other)
    assert said == ["replan 4", "apply n1", "lay n1", "replan 4", "lay cart", "lay n2", "lay n3"]


def test_a_plan_that_goes_out_to_a_vantage_that_just_left_lays_nothing() -> None:
    rows, said = slow(9)
    rows.handed("n1", composed().plan("n1"))
    assert said == []


def test_the_matrix_takes_them() -> None:
    clock = SimpleNamespace(now=0.0)
    matrix = matrix_of()
    rows = Rows(matrix, now=lambda: clock.now)
    rows.install(SNAPSHOT, composed())
    rows.apply(report_of("n1"), arrived_ns=1, counted=True)
    assert len(matrix.table.rows) == 4

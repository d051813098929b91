import asyncio
from types import SimpleNamespace

from collector.api.board import Board, phase_of
from collector.plan.compose import Plans, compose, rekeyed
from collector.settings import PlanSettings
from tests.collector.small_cluster import SNAPSHOT, composed
from wire.codec import decode_plan
from wire.plan import GroupKey

NAMES = ("cart", "n1", "n2", "n3")


def later(generation: int) -> Plans:
    return rekeyed(composed(), generation=generation, keys=(GroupKey(generation, b"k" * 16),))


def told(board: Board) -> set[str]:
    """Who has the newest plans."""
    return {name for name in NAMES if board.in_force(name) is board.plans}


def test_survive_20_over_the_time_of_a_spread_one_vantage_after_the_other_is_told_each_at_its_own_phase() -> None:
    clock = SimpleNamespace(now=100.0)
    board = Board(composed(), now=lambda: clock.now)
    board.publish(later(2), over_seconds=60.0)
    for second in range(61):
        clock.now = 100.0 + second
        assert told(board) == {name for name in NAMES if phase_of(name) * 60 <= second}
    assert told(board) == set(NAMES)


def test_phases_are_spread_over_all_of_the_time() -> None:
    phases = sorted(phase_of(f"node-{number}") for number in range(5000))
    assert 0 <= phases[0] < phases[-1] < 1
    assert max(sum(1 for phase in phases if second <= phase * 60 < second + 1) for second in range(60)) < 150


def test_whoever_was_not_told_of_one_plan_when_the_next_comes_waits_for_neither_longer_nor_shorter() -> None:
    clock = SimpleNamespace(now=0.0)
    board = Board(composed(), now=lambda: clock.now)
    board.publish(later(2), over_seconds=60.0)
    clock.now = 1.0
    board.publish(later(3), over_seconds=60.0)
    assert {board.in_force(name).generation for name in NAMES} == {1}
    clock.now = 60.5
    assert {board.in_force(name).generation for name in NAMES} <= {2, 3}
    clock.now = 61.5
    assert told(board) == set(NAMES)


def test_without_a_spread_all_are_told_at_once_and_who_is_not_known_gets_nothing() -> None:
    board = Board(composed())
    board.publish(later(2))
    assert told(board) == set(NAMES)
    assert board.handout("nobody") is None


def test_a_vantage_that_was_not_there_before_need_not_wait_for_its_first_plan() -> None:
    board = Board(compose(SNAPSHOT.__class__(), PlanSettings(), instance=1, generation=1, keys=()), now=lambda: 0.0)
    board.publish(later(2), over_seconds=60.0)
    assert told(board) == set(NAMES)


def test_a_plan_is_made_known_before_it_is_handed_out_and_named_by_its_own_generation() -> None:
    handed: list[tuple[str, int]] = []
    board = Board(composed(), handed=lambda vantage, plan: handed.append((vantage, plan.generation)))
    handout = board.handout("n1")
    assert handout is not None
    body, name = handout
    assert name == board.etag("n1") == '"1-1"'
    assert decode_plan(body).generation == 1
    assert handed == [("n1", 1)]


async def test_whoever_waits_is_woken_at_its_turn_and_by_nothing_before() -> None:
    board = Board(composed())
    order = sorted(NAMES, key=phase_of)
    woken: list[str] = []

    async def wait(name: str) -> None:
        assert await board.other_than(name, '"1-1"', seconds=60.0)
        woken.append(name)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for name in NAMES:
            tasks.create_task(wait(name))
        await asyncio.sleep(0)
        board.publish(later(2), over_seconds=0.2)
    assert woken == order
    assert not await board.other_than("n1", '"1-2"', seconds=0.0)
    board.release()
    assert await board.other_than("n1", '"1-2"', seconds=60.0)

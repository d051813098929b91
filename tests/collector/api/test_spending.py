from types import SimpleNamespace

import pytest

from collector.api import spending as spending_module
from collector.api.spending import MOST_NS, SHARE, Spending

SECOND = 10**9


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=0)


@pytest.fixture
def spending(clock: SimpleNamespace) -> Spending:
    return Spending(lambda: clock.now)


@pytest.mark.parametrize("much", [MOST_NS * 1.25, 1000 * MOST_NS], ids=["a little", "beyond all measure"])
def test_who_used_too_much_waits_ten_seconds_and_others_do_not(clock: SimpleNamespace, spending: Spending, much: float) -> None:
    assert spending.has_room("a")
    spending.spend("a", int(much))
    assert not spending.has_room("a")
    assert spending.has_room("b")
    clock.now += int(0.25 * MOST_NS / SHARE) - 1
    assert not spending.has_room("a")
    clock.now += 2
    assert spending.has_room("a")


def test_over_an_hour_nobody_has_more_than_its_share_however_it_asks(clock: SimpleNamespace, spending: Spending) -> None:
    used = 0
    while clock.now < 3600 * SECOND:
        if spending.has_room("a"):
            clock.now += SECOND // 50
            used += SECOND // 50
            spending.spend("a", SECOND // 50)
        else:
            clock.now += SECOND // 50
    assert used <= MOST_NS + SHARE * clock.now + SECOND // 50


def test_survive_33_of_too_many_buckets_the_least_full_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, spending: Spending
) -> None:
    monkeypatch.setattr(spending_module, "MOST_VANTAGES", 100)
    spending.spend("full", 2 * MOST_NS)
    for number in range(1000):
        spending.spend(f"v{number}", 1000)
    assert len(spending._buckets) <= 101
    assert not spending.has_room("full")

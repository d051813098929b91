"""What has become slower than it was."""

from collections.abc import Callable

from collector.verdict.finding import Finding
from collector.verdict.slowness import KNOWN, Slowness
from simulator.cluster import drawn
from tests.collector.small_cluster import SECOND
from tests.collector.verdict.compared import Watched
from wire.path import Path

Takes = Callable[[Path], int]


def usual(_: Path) -> int:
    return 200_000


def around(node: str, latency_ns: int) -> Takes:
    return lambda path: latency_ns if node in {path.vantage, path.target.peer} else 200_000


class Slow(Watched):
    def __init__(self) -> None:
        super().__init__(drawn(6, 3, 1))
        self.slowness = Slowness()

    def passes(self, count: int, takes: Takes = usual) -> list[Finding]:
        found: list[Finding] = []
        for _ in range(count):
            self.takes = takes
            found = self.slowness.findings(self.seconds(3).sample)
        return found


def test_a_node_to_and_from_which_all_takes_longer_is_found_with_the_numbers() -> None:
    watched = Slow()
    assert watched.passes(KNOWN + 2) == []
    (finding,) = watched.passes(2, around("n3", 40_000_000))
    assert (finding.scope.kind, finding.scope.component, finding.effect) == ("node", "n3", "latency")
    assert "n3 take 3" in finding.sentence or "n3 take 4" in finding.sentence
    assert "instead of 0.2" in finding.sentence
    assert watched.passes(2) == []


def test_less_than_some_milliseconds_more_are_nothing() -> None:
    watched = Slow()
    watched.passes(KNOWN + 2)
    assert watched.passes(2, around("n3", 1_500_000)) == []


def test_what_has_always_been_slow_is_usual() -> None:
    assert Slow().passes(KNOWN + 4, around("n3", 40_000_000)) == []


def test_nothing_is_told_where_all_is_slow() -> None:
    watched = Slow()
    watched.passes(KNOWN + 2)
    assert watched.passes(2, lambda _: 40_000_000) == []


def test_one_slow_pair_is_no_node() -> None:
    watched = Slow()
    watched.passes(KNOWN + 2)
    slow = {"n1", "n2"}
    assert watched.passes(2, lambda path: 40_000_000 if slow == {path.vantage, path.target.peer} else 200_000) == []


def test_its_memory_is_no_longer_than_the_plan() -> None:
    watched = Slow()
    watched.passes(2)
    assert len(watched.slowness._past) == len(watched.look().sample)
    assert watched.now_ns > SECOND

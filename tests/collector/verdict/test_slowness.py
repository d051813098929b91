"""What has become slower than it was."""

from collections.abc import Callable

from msgspec import structs

from collector.discovery.snapshot import Node, Snapshot
from collector.verdict.finding import Finding
from collector.verdict.slowness import KNOWN, PAIR_NS, Slowness
from simulator.cluster import drawn
from tests.collector.small_cluster import SECOND
from tests.collector.verdict.compared import Watched
from wire.path import Path

SIX = drawn(6, 3, 1)
Takes = Callable[[Path], int]


def usual(_: Path) -> int:
    return 200_000


def around(node: str, latency_ns: int) -> Takes:
    return lambda path: latency_ns if node in {path.vantage, path.target.peer} else 200_000


class Slow(Watched):
    def __init__(self, snapshot: Snapshot = SIX) -> None:
        super().__init__(snapshot)
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


def test_one_node_of_three_is_told_though_it_has_most_of_the_paths() -> None:
    watched = Slow(drawn(3, 3, 1))
    watched.passes(KNOWN + 2)
    node = {one.name: one.node for one in watched.snapshot.vantages}
    (finding,) = watched.passes(2, lambda path: 40_000_000 if "n3" in {node[path.vantage], path.target.peer} else 200_000)
    assert (finding.scope.kind, finding.scope.component) == ("node", "n3")


def where(slow: Callable[[str, str], bool], latency_ns: int) -> Takes:
    """Of the paths between two nodes, whichever pods they are of."""
    node = {one.name: one.node for one in SIX.vantages}
    return lambda path: latency_ns if slow(node.get(path.vantage, ""), path.target.peer) else 200_000


def test_two_zones_between_which_all_takes_longer_are_one_finding_and_no_node_is() -> None:
    zone = {node.name: node.zone for node in SIX.nodes}
    one, other = sorted(set(zone.values()))[:2]
    watched = Slow()
    watched.passes(KNOWN + 2)
    slow = where(lambda near, far: {zone.get(near), zone.get(far)} == {one, other}, 20_000_000)
    (finding,) = watched.passes(2, slow)
    assert (finding.scope.kind, finding.scope.component) == ("zone_pair", f"{one}>{other}")
    assert (finding.effect, finding.severity, finding.nodes) == ("latency", "warning", 4)
    assert f"between zones {one} and {other} take" in finding.sentence


def test_two_zones_are_told_also_where_they_are_all_that_there_are() -> None:
    """More than half of all paths are slow then."""
    zone = {node.name: "za" if number < 3 else "zb" for number, node in enumerate(SIX.nodes)}
    watched = Slow(structs.replace(SIX, nodes=tuple(structs.replace(node, zone=zone[node.name]) for node in SIX.nodes)))
    watched.passes(KNOWN + 2)
    (finding,) = watched.passes(2, where(lambda near, far: far in zone and zone[near] != zone[far], 20_000_000))
    assert (finding.scope.kind, finding.scope.component) == ("zone_pair", "za>zb")


def test_a_pair_of_nodes_that_stays_slow_is_told_after_a_while_and_is_no_more_than_information() -> None:
    watched = Slow()
    watched.passes(KNOWN + 2)
    slow = where(lambda near, far: {near, far} == {"n1", "n2"}, 40_000_000)
    assert watched.passes(PAIR_NS // SECOND // 3 - 1, slow) == []
    (finding,) = watched.passes(4, slow)
    assert (finding.scope.kind, finding.scope.component, finding.severity) == ("pair", "n1>n2", "info")
    assert watched.passes(8) == []


def test_a_pair_of_nodes_that_takes_little_more_or_of_which_some_paths_alone_do_is_not_told() -> None:
    watched = Slow()
    watched.passes(KNOWN + 2)
    pair = where(lambda near, far: {near, far} == {"n1", "n2"}, 4_000_000)
    assert watched.passes(PAIR_NS // SECOND // 3 + 3, pair) == []
    back = where(lambda near, far: (near, far) == ("n1", "n2"), 40_000_000)
    assert watched.passes(PAIR_NS // SECOND // 3 + 3, back) == []


def test_a_pair_of_nodes_is_the_same_pair_after_another_node_has_come() -> None:
    watched = Slow()
    watched.passes(KNOWN + 2)
    slow = where(lambda near, far: {near, far} == {"n1", "n2"}, 40_000_000)
    watched.passes(PAIR_NS // SECOND // 3 - 1, slow)
    agent = structs.replace(SIX.vantages[0], name="n0", node="n0", pod="agent-0", uid="u0", addresses=("10.30.9.9",))
    more = structs.replace(SIX, nodes=(*SIX.nodes, Node("n0", "z0")), vantages=(*SIX.vantages, agent))
    watched.replan(more, generation=2)
    (finding,) = watched.passes(4, slow)
    assert finding.scope.component == "n1>n2"


def test_its_memory_is_no_longer_than_the_plan() -> None:
    watched = Slow()
    watched.passes(2)
    assert len(watched.slowness._past) == len(watched.look().sample)
    assert watched.now_ns > SECOND

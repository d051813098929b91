"""Which paths are looked at again at once."""

from collections.abc import Mapping, Sequence

import pytest

from collector.matrix.suspects import KINDS
from collector.verdict.candidates import Scope
from collector.verdict.crossing import CAUSES, PATHS, crossing
from collector.verdict.finding import Finding
from collector.verdict.hold import Hold, Phase
from collector.verdict.incident import Memory, key_of
from collector.verdict.sample import Sample
from simulator.cluster import drawn
from tests.collector.verdict.compared import Watched
from wire.path import Layer, Path

WATCHED = Watched(drawn(12, 3, 1))
SAMPLE: Sample = WATCHED.seconds(2).sample
NODE = {one.name: one.node for one in WATCHED.snapshot.vantages}
PATHS_OF = {path.id: path for name in WATCHED.plans.vantages for path in (one.path for one in WATCHED.plans.plan(name).paths)}
N3 = Scope("node", "n3", "both", "network")


def memory(*scopes: Scope, phase: Phase = Phase.PENDING, first_ns: int = SAMPLE.now_ns) -> Memory:
    found = {key_of(one): one for one in (Finding(scope, Layer.HOST) for scope in scopes)}
    return Memory(dict.fromkeys(found, Hold(phase, first_ns, SAMPLE.now_ns)), found)


def ends(asked: Mapping[str, Sequence[int]]) -> list[tuple[str, str]]:
    """Nodes that the paths are from and to."""
    return [(NODE[name], _node(PATHS_OF[one])) for name, ids in asked.items() for one in ids]


def _node(path: Path) -> str:
    return next(end.node for end in SAMPLE.tables.targets.all if end.name == path.target.name)


def test_of_a_node_they_are_from_and_to_it_one_for_each_two_ends_and_no_more_than_so_many() -> None:
    asked = crossing(memory(N3), SAMPLE)
    assert all("n3" in pair for pair in ends(asked))
    assert {at == "n3" for at, _ in ends(asked)} == {True, False}
    assert len(ends(asked)) == PATHS
    paths = [PATHS_OF[one] for ids in asked.values() for one in ids]
    assert len({(path.vantage, path.target.name) for path in paths}) == PATHS
    assert {path.layer for path in paths} <= {Layer.POD, Layer.HOST}
    assert {path.kind for path in paths} <= set(KINDS)


def test_between_two_nodes_they_are_there_and_back() -> None:
    assert set(ends(crossing(memory(Scope("pair", "n1>n2", "both", "network")), SAMPLE))) == {("n1", "n2"), ("n2", "n1")}


@pytest.mark.parametrize(
    "known",
    [
        memory(N3, phase=Phase.FIRING),
        memory(N3, first_ns=SAMPLE.now_ns - 1),
        memory(Scope("service", "service/shop/s0", "in", "service")),
        memory(Scope("node", "n3", "out", "service")),
    ],
    ids=["told", "seen before", "no kind that a burst can tell", "another layer"],
)
def test_what_is_not_seen_for_the_first_time_or_shows_in_no_burst_is_not_looked_at(known: Memory) -> None:
    assert crossing(known, SAMPLE) == {}


def test_of_many_causes_at_once_some_are_looked_at() -> None:
    asked = crossing(memory(*(Scope("node", f"n{number}", "both", "network") for number in range(1, 9))), SAMPLE)
    assert len(ends(asked)) == CAUSES * PATHS

"""Few causes from many bad cells."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdict.candidates import Scope
from collector.verdict.cause import causes
from collector.verdict.cells import Bursts, Cells, Reason
from collector.verdict.finding import Finding
from collector.verdict.noise import SILENCE
from collector.verdict.search import ratio
from collector.verdict.witnesses import least
from tests.collector.verdict.small import mesh
from wire.path import Layer

NETWORK = {Layer.POD, Layer.HOST}


def found(cells: Cells) -> list[tuple[object, ...]]:
    return [(one.scope.kind, one.scope.component, one.scope.direction, one.layer) for one in causes([cells], SILENCE)[0]]


def test_nothing_is_found_where_nothing_is_lost() -> None:
    assert found(mesh(12)) == []


def test_a_pass_without_a_span_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one span"):
        causes([], SILENCE)


@pytest.mark.parametrize("node", [0, 5, 11])
def test_a_node_that_nobody_reaches_is_found_inbound_on_the_host_layer(node: int) -> None:
    assert found(mesh(12, lambda _, to, layer: 12 * (to == node and layer in NETWORK))) == [
        ("node", f"n{node}", "in", Layer.HOST)
    ]


def test_what_only_the_pod_layer_loses_lies_in_the_pod_layer() -> None:
    assert found(mesh(12, lambda at, _, layer: 3 * (at == 4 and layer is Layer.POD))) == [("node", "n4", "out", Layer.POD)]


def test_a_node_that_loses_both_ways_is_one_cause() -> None:
    lost = mesh(12, lambda at, to, layer: 4 * (4 in {at, to} and layer in NETWORK))
    assert found(lost) == [("node", "n4", "both", Layer.HOST)]


def test_a_zone_pair_has_a_direction() -> None:
    lost = mesh(12, lambda at, to, layer: 2 * (at % 3 == 0 and to % 3 == 1 and layer in NETWORK))
    assert found(lost) == [("zone_pair", "z0>z1", "out", Layer.HOST)]


def test_nodes_with_a_label_in_common_are_one_cause() -> None:
    lost = mesh(16, lambda _, to, layer: 6 * (to % 4 == 2 and layer in NETWORK))
    assert found(lost) == [("group", "pool=2", "in", Layer.HOST)]


def test_a_service_that_fails_everywhere_is_the_service() -> None:
    lost = mesh(12, lambda _, to, layer: 12 * (to == 3 and layer is Layer.SERVICE))
    assert found(lost) == [("service", "service/shop/s3", "in", Layer.SERVICE)]


def test_services_that_fail_from_one_node_are_that_node() -> None:
    lost = mesh(12, lambda at, _, layer: 12 * (at == 3 and layer is Layer.SERVICE))
    assert found(lost) == [("node", "n3", "out", Layer.SERVICE)]


def test_all_services_at_once_are_one_cause() -> None:
    lost = mesh(12, lambda _at, _to, layer: 12 * (layer is Layer.SERVICE))
    assert found(lost) == [("service", "all", "in", Layer.SERVICE)]


def test_a_single_pair_is_named_when_it_loses_much_and_not_when_it_loses_some() -> None:
    def lost(much: int) -> Cells:
        return mesh(12, lambda at, to, layer: much * (at == 1 and to == 2 and layer in NETWORK))

    assert found(lost(11)) == [("pair", "n1>n2", "out", Layer.HOST)]
    assert found(lost(3)) == []


@pytest.mark.parametrize("nodes", [3, 4, 5])
def test_a_dead_node_of_a_few_is_a_node_before_all_of_a_span_is_lost(nodes: int) -> None:
    assert found(mesh(nodes, lambda _, to, layer: 15 * (to == 1 and layer in NETWORK), sent=25)) == [
        ("node", "n1", "in", Layer.HOST)
    ]


def test_a_node_that_loses_to_one_other_above_all_is_that_pair() -> None:
    def lost(at: int, to: int, layer: Layer) -> int:
        return layer in NETWORK and (60 * ((at, to) in {(1, 2), (2, 1)}) or 1 * (1 in {at, to}))

    assert [one[:2] for one in found(mesh(8, lost, sent=60))] == [("pair", "n1>n2")]


def test_what_a_pair_of_a_few_loses_again_and_again_counts_each_time() -> None:
    def passes(times: int) -> list[tuple[str, str]]:
        noise, findings = SILENCE, list[Finding]()
        for number in range(times):
            now = 1000 + 10 * number
            short, longer = (
                mesh(3, lambda _, to, layer: 1 * (to == 1 and layer in NETWORK), sent=seconds * 3, span_s=seconds, now_s=now)
                for seconds in (10, 60)
            )
            findings, noise = causes([short, longer], noise)
        return [(one.scope.kind, one.scope.component) for one in findings]

    assert passes(1) == []
    assert passes(5) == [("node", "n1")]


def test_what_has_been_told_takes_less_to_be_seen_again() -> None:
    cells = mesh(8, lambda _, to, layer: 1 * (to == 1 and layer is Layer.POD), sent=40)
    few = replace(cells, lost=np.where(cells.source < 5, cells.lost, 0))
    assert causes([few], SILENCE)[0] == []
    known = Scope("node", "n1", "in", "network")
    (again,) = causes([few], SILENCE, known=[known])[0]
    assert again.scope.component == "n1"
    assert again.score > 0, "else it would be told without a severity of its own"


def test_what_one_other_alone_loses_does_not_make_a_node_s_old_losses_fresh() -> None:
    def freshness(now: Callable[[int, int], bool]) -> list[tuple[str, str, bool]]:
        short = mesh(8, lambda at, to, layer: 10 * (layer is Layer.POD and now(at, to)), sent=10, span_s=10)
        long = mesh(8, lambda at, to, layer: 60 * (layer in NETWORK and 1 in {at, to}), sent=300, span_s=300)
        return [(one.scope.kind, one.scope.component, one.fresh) for one in causes([short, long], SILENCE)[0]]

    assert ("node", "n1", False) in freshness(lambda at, to: {at, to} == {1, 2})
    assert ("node", "n1", False) in freshness(lambda _at, _to: False)
    assert ("node", "n1", True) in freshness(lambda at, to: {at, to} in ({1, 2}, {1, 3}, {1, 4}))


def test_two_causes_at_once_are_two() -> None:
    lost = mesh(16, lambda at, to, layer: 12 * (to == 1 and layer in NETWORK) or 4 * (at == 6 and to != 1 and layer in NETWORK))
    assert found(lost) == [("node", "n1", "in", Layer.HOST), ("node", "n6", "out", Layer.HOST)]


def test_a_silent_node_explains_that_its_services_fail_too() -> None:
    assert found(mesh(12, lambda at, _to, _layer: 12 * (at == 3))) == [("node", "n3", "out", Layer.HOST)]


def test_what_is_not_judged_is_nobody_s_fault() -> None:
    assert found(mesh(12, lambda _at, to, _layer: 12 * (to == 3), reason=Reason.ILL)) == []


def test_what_a_short_span_explains_is_not_found_again_in_a_longer_one() -> None:
    def span(seconds: int) -> Cells:
        return mesh(12, lambda _, to, layer: 12 * (to == 2 and layer in NETWORK), span_s=seconds)

    assert len(causes([span(10), span(60)], SILENCE)[0]) == 1


def test_a_cause_that_the_latest_span_would_show_and_does_not_is_over() -> None:
    longer = mesh(12, lambda _, to, layer: 12 * (to == 2 and layer in NETWORK), span_s=60)
    assert [one.fresh for one in causes([mesh(12, span_s=10), longer], SILENCE)[0]] == [False]


def test_what_a_cause_explains_is_not_learned_as_noise() -> None:
    faulty = causes([mesh(12, lambda _, to, layer: 12 * (to == 2 and layer in NETWORK))], SILENCE)[1]
    assert sum(block.events for blocks in faulty.blocks.values() for block in blocks) == 0


def test_bursts_speak_for_a_cause_and_are_not_learned_as_usual() -> None:
    sound = mesh(12)
    into = np.flatnonzero(np.array([end.node == "n4" for end in sound.targets.all])[sound.target]).astype(np.int64)
    three = np.full(len(into), 3, np.int64)
    findings, noise = causes([replace(sound, bursts=Bursts(into, three, three))], SILENCE)
    assert [(one.scope.kind, one.scope.component) for one in findings] == [("node", "n4")]
    assert noise.blocks == causes([sound], SILENCE)[1].blocks


def test_a_burst_that_no_cause_explains_is_not_learned_as_usual_either() -> None:
    sound, three = mesh(12), np.array([3])
    findings, noise = causes([replace(sound, bursts=Bursts(np.array([5]), three, three))], SILENCE)
    assert findings == []
    assert noise.blocks == causes([sound], SILENCE)[1].blocks


def test_a_few_scattered_losses_are_learned_as_noise_and_blamed_on_nobody() -> None:
    cells = mesh(12, lambda at, to, layer: int((at, to, layer) in {(1, 2, Layer.POD), (7, 5, Layer.HOST)}))
    findings, noise = causes([cells], SILENCE)
    assert not findings
    assert sum(block.events for blocks in noise.blocks.values() for block in blocks) == 2


@settings(max_examples=40, deadline=None)
@given(node=st.integers(0, 11), order=st.randoms(use_true_random=False))
def test_the_order_of_cells_does_not_matter(node: int, order: Random) -> None:
    cells = mesh(12, lambda _, to, layer: 5 * (to == node and layer in NETWORK))
    places = list(range(len(cells)))
    order.shuffle(places)
    mixed = replace(
        cells,
        **{name: getattr(cells, name)[places] for name in ("source", "target", "layer", "kind", "family", "sent", "lost")},
    )
    assert causes([mixed], SILENCE)[0] == causes([cells], SILENCE)[0]


@given(st.integers(1, 10_000), st.floats(0, 1e6))
def test_never_are_more_witnesses_asked_for_than_there_can_be(witnesses: int, events: float) -> None:
    assert least(witnesses, events) <= max(witnesses, 2)


def test_fewer_events_than_usual_speak_for_nothing() -> None:
    assert ratio(np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])).tolist()[:2] == [0.0, 0.0]
    assert ratio(np.array([2.0]), np.array([1.0]))[0] > 0

"""Each kind of cause in a small cluster, as round trips show it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collector.verdict.candidates import Scope, grounds_of
from collector.verdict.cause import causes
from collector.verdict.cells import KINDS, LAYERS, Cells, End, Ends, Expected, Ints
from collector.verdict.finding import Finding
from collector.verdict.frame import framed
from collector.verdict.noise import SILENCE
from collector.verdict.ways import told_way
from tests.collector.verdict.small import mesh, named, twice
from wire.path import Kind, Layer

NETWORK = {Layer.POD, Layer.HOST}


def found(*spans: Cells) -> list[Finding]:
    return causes(spans, SILENCE)[0]


def told(*spans: Cells) -> list[tuple[str, str, str, Layer]]:
    return [(one.scope.kind, one.scope.component, one.scope.direction, one.layer) for one in found(*spans)]


def with_receipts(cells: Cells, into: str, *, share: float = 0.5) -> Cells:
    """Receipts of packets that got lost on their way into a node: of requests to it, and of replies to it."""
    some = (cells.lost * share).astype(np.int64)
    ahead, back = named(cells, target=into), named(cells, source=into)
    return replace(cells, forward=np.where(ahead, some, 0), backward=np.where(back, some, 0))


def around(node: int, much: int) -> Cells:
    return mesh(12, lambda at, to, layer: much * (node in {at, to} and layer in NETWORK))


def test_packets_into_a_node_lose_on_both_sides_and_receipts_tell_that_they_are_into_it() -> None:
    assert told(with_receipts(around(4, 3), "n4")) == [("node", "n4", "in", Layer.HOST)]


def test_without_receipts_both_sides_are_both_directions_and_that_is_not_certain_while_receipts_may_come() -> None:
    none = np.zeros(len(around(4, 3)), np.int64)
    assert told(around(4, 3)) == [("node", "n4", "both", Layer.HOST)]
    assert [one.certain for one in found(replace(around(4, 3), forward=none, backward=none))] == [False]
    assert [one.certain for one in found(around(4, 3))] == [True]


@pytest.mark.parametrize(
    ("receipts", "direction", "hinted", "certain"),
    [(0, "both", False, False), (2, "in", False, False), (5, "in", True, False), (8, "in", True, True)],
)
def test_a_few_receipts_tell_a_direction_and_some_more_are_sure(
    receipts: int, direction: str, hinted: bool, certain: bool
) -> None:
    cells = around(4, 1)
    none = np.zeros(len(cells), np.int64)
    some = none.copy()
    some[np.flatnonzero(named(cells, target="n4") & (cells.lost > 0))[:receipts]] = 1
    (one,) = found(replace(cells, forward=some, backward=none))
    assert (one.scope.component, one.scope.direction, one.hinted, one.certain) == ("n4", direction, hinted, certain)


@pytest.mark.parametrize(("rate", "direction", "certain"), [(1e-6, "in", True), (1.0, "both", False)])
def test_as_many_receipts_as_the_background_brings_tell_nothing(rate: float, direction: str, certain: bool) -> None:
    cells = replace(around(4, 1), kind=np.full(len(around(4, 1)), KINDS.index(Kind.UDP), np.uint8))
    some = (named(cells, target="n4") & (cells.lost > 0)).astype(np.int64)
    frame = framed(cells.sources, cells.targets)
    (ground,) = grounds_of([replace(cells, forward=some, backward=0 * some)], frame, np.full(frame.grouping.size, rate))
    finding = Finding(Scope("node", "n4", "in", "network", "both"), Layer.HOST, lost=44, sent=528)
    told_so = told_way(finding, ground)
    assert (told_so.scope.direction, told_so.certain) == (direction, certain)


def test_of_a_pair_whose_pods_reach_nothing_no_receipt_is_waited_for_though_its_nodes_answer() -> None:
    cells = mesh(12, lambda at, to, layer: 12 * ({at, to} == {1, 2} and layer is Layer.POD))
    none = np.zeros(len(cells), np.int64)
    (one,) = found(replace(cells, forward=none, backward=none))
    assert (one.scope.kind, one.layer, one.scope.direction, one.certain) == ("pair", Layer.POD, "both", True)


def test_receipts_of_few_of_the_losses_may_be_those_of_the_background() -> None:
    cells = around(4, 3)
    cells = replace(cells, kind=np.full(len(cells), KINDS.index(Kind.UDP), np.uint8))
    some = np.zeros(len(cells), np.int64)
    some[np.flatnonzero(named(cells, target="n4") & (cells.lost > 0))[:8]] = 1
    (one,) = found(replace(cells, forward=some, backward=np.zeros_like(some)))
    assert one.certain is False


@pytest.mark.parametrize(("failing", "certain"), [({0}, [True]), ({0, 1}, [False, False])])
def test_a_service_beside_another_that_looks_ill_too_may_soon_be_all_of_them(failing: set[int], certain: list[bool]) -> None:
    cells = mesh(12, lambda _, to, layer: 6 * (layer is Layer.SERVICE and to in failing))
    services = [one for one in found(cells) if one.scope.kind == "service"]
    assert [one.certain for one in services] == certain


def test_what_many_nodes_have_in_common_is_no_cause_where_hardly_any_other_is_left_to_compare_with() -> None:
    def common(nodes: int) -> set[str]:
        cells = mesh(nodes, lambda _, to, layer: 6 * (to < 3 and layer in NETWORK))
        sources = Ends(end._replace(groups=("rack=a",) * (place < 3)) for place, end in enumerate(cells.sources.all))
        return {one.scope.kind for one in found(replace(cells, sources=sources))}

    assert common(8) == {"group"}
    assert "group" not in common(5)


def test_where_nothing_gets_through_no_receipt_is_waited_for() -> None:
    none = np.zeros(len(around(4, 12)), np.int64)
    assert [(one.certain, one.effect) for one in found(replace(around(4, 12), forward=none, backward=none))] == [
        (True, "unreachable")
    ]


def zones(much: int) -> Cells:
    return mesh(12, lambda at, to, layer: much * ({at % 3, to % 3} == {0, 1} and layer in NETWORK))


def test_two_zones_that_lose_both_ways_are_one_cause_in_both_directions() -> None:
    assert told(zones(2)) == [("zone_pair", "z0>z1", "both", Layer.HOST)]


def test_receipts_tell_which_way_two_zones_lose() -> None:
    cells = zones(2)
    near = np.array([end.zone for end in cells.sources.all])[cells.source]
    from_one = (near == "z1") & (cells.lost > 0)
    from_none = (near == "z0") & (cells.lost > 0)
    cells = replace(cells, forward=np.where(from_one, 1, 0), backward=np.where(from_none, 1, 0))
    assert told(cells) == [("zone_pair", "z1>z0", "out", Layer.HOST)]


def test_a_pair_that_loses_both_ways_is_one_pair() -> None:
    cells = mesh(12, lambda at, to, layer: 11 * ({at, to} == {1, 2} and layer in NETWORK))
    assert told(cells) == [("pair", "n1>n2", "both", Layer.HOST)]


def test_a_pair_in_a_burst_waits_and_is_not_told() -> None:
    burst = mesh(12, lambda at, to, layer: 3 * ((at, to) == (1, 2) and layer in NETWORK), sent=4, span_s=10)
    minute = mesh(12, lambda at, to, layer: 3 * ((at, to) == (1, 2) and layer in NETWORK), sent=24, span_s=60)
    assert [one.proven for one in found(burst, minute)] == [False]


def test_one_service_that_fails_for_one_node_is_that_pair_at_once() -> None:
    cells = mesh(12, lambda at, to, layer: 10 * (at == 3 and to == 1 and layer is Layer.SERVICE), sent=10, span_s=10)
    assert [(one.scope.kind, one.scope.component, one.proven) for one in found(cells)] == [("pair", "n3>service/shop/s1", True)]


@pytest.mark.parametrize(("layer", "kind"), [(Layer.DNS, "dns"), (Layer.EXTERNAL, "external")])
def test_a_target_that_fails_for_everybody_is_the_target(layer: Layer, kind: str) -> None:
    cells = mesh(12, lambda _, to, at: 12 * (to == 2 and at is Layer.SERVICE))
    moved = np.where(cells.layer == LAYERS.index(Layer.SERVICE), LAYERS.index(layer), cells.layer).astype(np.uint8)
    assert told(replace(cells, layer=moved)) == [(kind, "service/shop/s2", "in", layer)]


def test_programs_that_do_not_answer_where_kernels_do_are_a_busy_host() -> None:
    doubled = twice(mesh(12))
    lost = np.where((doubled.kind == KINDS.index(Kind.UDP)) & named(doubled, target="n5"), 8, 0).astype(np.int64)
    assert told(replace(doubled, lost=lost)) == [("agent", "n5", "in", Layer.POD)]


def test_where_an_end_answers_pings_alone_it_may_be_a_program_that_starts_anew_and_is_not_told_at_once() -> None:
    doubled = twice(mesh(12))
    lost = np.where((doubled.kind != KINDS.index(Kind.ICMP)) & named(doubled, target="n5"), 8, 0).astype(np.int64)
    connected = replace(doubled, kind=np.where(doubled.kind == KINDS.index(Kind.UDP), KINDS.index(Kind.TCP), doubled.kind))
    (one,) = found(replace(connected, lost=lost))
    assert (one.scope.kind, one.scope.component, one.certain) == ("node", "n5", False)


def test_long_packets_alone_are_the_mtu_and_together_with_short_ones_the_node() -> None:
    assert told(with_long(mesh(12), "n5")) == [("mtu", "n5", "both", Layer.MTU)]
    assert told(with_long(around(5, 12), "n5")) == [("node", "n5", "both", Layer.HOST)]


def with_long(cells: Cells, node: str) -> Cells:
    """Long packets between all pods besides, those of a node lost."""
    pods = np.flatnonzero(cells.layer == LAYERS.index(Layer.POD))
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(cells, name), getattr(cells, name)[pods]])
        for name in ("source", "target", "kind", "family", "expected", "reason")
    }
    layer = np.concatenate([cells.layer, np.full(len(pods), LAYERS.index(Layer.MTU), np.uint8)])
    sent: Ints = np.concatenate([cells.sent, np.full(len(pods), 2, np.int64)])
    touched = (named(cells, source=node) | named(cells, target=node))[pods]
    lost: Ints = np.concatenate([cells.lost, np.where(touched, 2, 0).astype(np.int64)])
    return replace(cells, layer=layer, sent=sent, lost=lost, **columns)


def tenants(lost_from: str, lost_to: str) -> Cells:
    """Three agents in each of three namespaces, on nodes of their own, that probe each other's pods."""
    spaces = ["shop", "pay", "web"]
    ends = [(f"{space}-{i}", f"n{3 * i + place}", space) for place, space in enumerate(spaces) for i in range(3)]
    cells = mesh(9)
    rows = np.flatnonzero(cells.layer == LAYERS.index(Layer.POD))
    sources = Ends(End(name, node, "", space) for name, node, space in sorted(ends, key=lambda end: int(end[1][1:])))
    targets = Ends([*(end._replace(name=f"pod/{end.namespace}/{end.name}") for end in sources.all), *cells.targets.all[9:]])
    near = np.array([end.namespace for end in sources.all])[cells.source[rows]]
    far = np.array([end.namespace for end in targets.all])[cells.target[rows]]
    lost = np.where((near == lost_from) & (far == lost_to), 12, 0).astype(np.int64)
    names = ("source", "target", "layer", "kind", "family", "sent", "expected", "reason")
    columns: dict[str, Any] = {name: getattr(cells, name)[rows] for name in names}
    return replace(cells, sources=sources, targets=targets, heard_ns=cells.heard_ns[:9], lost=lost, **columns)


def test_agents_of_one_namespace_that_do_not_reach_those_of_another_are_a_policy() -> None:
    findings = found(tenants("shop", "pay"))
    assert [(one.scope.kind, one.scope.component, one.effect) for one in findings] == [("policy", "shop>pay", "broken")]


@pytest.mark.parametrize(("share", "named_so"), [(0.25, False), (0.5, True)])
def test_a_policy_drops_connections_and_what_loses_some_packets_is_none(share: float, named_so: bool) -> None:
    cells = tenants("shop", "pay")
    some = replace(cells, lost=(cells.lost * share).astype(np.int64))
    assert ("policy" in {one.scope.kind for one in found(some)}) is named_so


def test_a_dead_node_explains_the_connections_that_a_service_sends_there() -> None:
    def lost(at: int, to: int, layer: Layer) -> int:
        return 12 * (2 in {at, to}) if layer in NETWORK else 6 * (to == 1)

    cells = mesh(12, lost)
    assert ("service", "service/shop/s1", "in", Layer.SERVICE) in told(cells)
    behind = Ends(end._replace(behind=("n2", "n7") if end.name == "service/shop/s1" else ()) for end in cells.targets.all)
    assert told(replace(cells, targets=behind)) == [("node", "n2", "both", Layer.HOST)]


def test_a_lossy_node_does_not_explain_that_one_node_reaches_nothing_of_a_service_there() -> None:
    def lost(at: int, to: int, layer: Layer) -> int:
        return 6 * (2 in {at, to}) if layer in NETWORK else (12 if at == 0 else 3) * (to == 1)

    cells = mesh(12, lost)
    behind = Ends(end._replace(behind=("n2", "n7") if end.name == "service/shop/s1" else ()) for end in cells.targets.all)
    assert [(kind, component) for kind, component, _, _ in told(replace(cells, targets=behind))] == [
        ("node", "n2"),
        ("pair", "n0>service/shop/s1"),
    ]


def served(silent: bool) -> Cells:
    """Four nodes; half of what is sent to n2 gets lost, which both name servers are on; they may say nothing as well."""

    def lost(at: int, to: int, layer: Layer) -> int:
        if layer in NETWORK:
            return 6 * (2 in {at, to})
        return (12 if silent else 7 * (at != 2)) * (to < 2)

    cells = mesh(4, lost)
    names = {"service/shop/s0": "dns/service", "service/shop/s1": "dns/pod"}
    ends = [end._replace(name=names[end.name], behind=("n2",)) if end.name in names else end for end in cells.targets.all]
    servers = np.isin(cells.target, [number for number, end in enumerate(ends) if end.behind])
    layer = np.where(servers, LAYERS.index(Layer.DNS), cells.layer).astype(np.uint8)
    return replace(cells, targets=Ends(ends), layer=layer)


def test_name_servers_on_a_node_that_loses_packets_lose_no_more_than_the_node_does() -> None:
    assert told(served(silent=False)) == [("node", "n2", "both", Layer.HOST)]


def test_name_servers_that_say_nothing_are_a_cause_beside_the_node_that_they_are_on() -> None:
    assert sorted(told(served(silent=True))) == [("dns", "all", "in", Layer.DNS), ("node", "n2", "both", Layer.HOST)]


@pytest.mark.parametrize("expected", [Expected.DENY, Expected.UNSPECIFIED, Expected.UNKNOWN])
def test_what_should_not_be_open_loses_nothing(expected: Expected) -> None:
    cells = around(4, 12)
    assert told(replace(cells, expected=np.full(len(cells), expected, np.uint8))) == []


def test_slow_probes_counted_as_lost_make_findings_of_latency() -> None:
    assert {one.effect for one in causes([around(4, 8)], SILENCE, effect="latency")[0]} == {"latency"}


@pytest.mark.parametrize("times", [2, 5])
def test_ten_times_as_many_probes_at_the_same_loss_name_the_same_cause(times: int) -> None:
    cells = around(4, 3)
    assert told(replace(cells, sent=cells.sent * times, lost=cells.lost * times)) == told(cells)


def test_no_cause_is_named_for_scattered_noise_whatever_the_seed() -> None:
    for seed in range(60):
        dice = np.random.default_rng(seed)
        cells = mesh(16)
        lost = (dice.random(len(cells)) < 3e-3).astype(np.int64)
        assert found(replace(cells, lost=lost)) == [], f"seed {seed}"


def test_a_scope_names_the_cells_it_covers_apart_from_the_direction_of_packets() -> None:
    assert Scope("node", "n1", "in", "network").reach == "in"
    assert Scope("node", "n1", "in", "network", "both").reach == "both"

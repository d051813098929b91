"""Plans of a cluster that is too large for a full mesh."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.discovery.snapshot import Attachment, DnsServer, External, Node, Service, Snapshot, Vantage
from collector.duration import Duration
from collector.plan.assignment import MAX_PEERS
from collector.plan.compose import Plans, compose, rotated
from collector.settings import SECOND, PlanSettings, RotationSettings
from wire.codec import encode
from wire.path import Family, Kind, Layer
from wire.plan import Plan, PlannedPath

SMALL = PlanSettings(full_mesh_nodes=10, peers=6, rotation=RotationSettings(peers=3), vantages_per_zone=2)


def node(number: int, zones: int = 3) -> Node:
    return Node(name=f"n{number}", zone=f"z{number % zones}", addresses=(f"172.30.{number // 250}.{1 + number % 250}",))


def vantage(number: int, *, name: str = "", dual: bool = False, networks: tuple[Attachment, ...] = ()) -> Vantage:
    place = f"{number // 250}.{1 + number % 250}"
    return Vantage(
        name=name or f"n{number}",
        node=f"n{number}",
        namespace="netmatrix",
        pod=f"agent-{name or number}",
        uid=f"uid-{number}",
        addresses=(f"10.{30 + bool(name)}.{place}", *((f"fd31::{number + 1:x}",) if dual else ())),
        networks=networks,
    )


def service(number: int, *, critical: bool = False) -> Service:
    return Service(f"s{number:03}", "shop", (f"10.96.0.{1 + number % 250}",), 80, endpoints=2, critical=critical)


def snapshot(
    count: int, *, services: Sequence[Service] = (), external: Sequence[External] = (), dns: Sequence[DnsServer] = ()
) -> Snapshot:
    numbers = range(count)
    return Snapshot(
        nodes=tuple(map(node, numbers)),
        vantages=tuple(map(vantage, numbers)),
        services=tuple(services),
        external=tuple(external),
        dns=tuple(dns),
    )


def composed(subject: Snapshot, chosen: PlanSettings = SMALL, slot: int = 0) -> Plans:
    return compose(subject, chosen, instance=5, generation=1, keys=(), slot=slot)


def every(plans: Plans) -> dict[str, Plan]:
    return {name: plans.plan(name) for name in plans.vantages}


def pps(paths: Sequence[PlannedPath]) -> float:
    return sum(one.path.packets * 1000 / one.interval_ms for one in paths)


def by_target(plans: dict[str, Plan], prefix: str) -> dict[str, list[PlannedPath]]:
    found: defaultdict[str, list[PlannedPath]] = defaultdict(list)
    for plan in plans.values():
        for one in plan.paths:
            if one.path.target.name.startswith(prefix):
                found[one.path.target.name].append(one)
    return found


def test_above_the_limit_everybody_has_k_static_peers_on_all_kinds_and_their_nodes_and_k_rotating_ones_on_udp() -> None:
    plans = composed(snapshot(40))
    assert composed(snapshot(10)).rotates is False
    assert plans.rotates is True
    static: Counter[str] = Counter()
    for plan in every(plans).values():
        pods: defaultdict[str, set[Kind]] = defaultdict(set)
        for one in plan.paths:
            if one.path.layer is Layer.POD:
                pods[one.path.target.peer].add(one.path.kind)
        fixed = {peer for peer, kinds in pods.items() if len(kinds) == 4}
        swept = set(pods) - fixed
        assert len(fixed) == 6
        assert len(swept) <= 3
        assert all(pods[peer] == {Kind.UDP} for peer in swept)
        nodes = [one.path for one in plan.paths if one.path.layer is Layer.HOST]
        assert {path.target.peer for path in nodes} == fixed | swept
        assert {path.kind for path in nodes} == {Kind.ICMP}
        static.update(fixed)
    assert set(static.values()) == {6}


def test_in_a_cycle_of_slots_every_vantage_probes_every_other() -> None:
    plans = composed(snapshot(20))
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for slot in range(-(-19 // 3)):
        for name, plan in every(rotated(plans, generation=2, keys=(), slot=slot)).items():
            seen[name] |= {one.path.target.peer for one in plan.paths if one.path.layer is Layer.POD}
    assert all(len(peers) == 19 for peers in seen.values())


@settings(max_examples=8, deadline=None)
@given(count=st.integers(11, 40), slot=st.integers(0, 10**6), seed=st.integers(0, 10**6))
def test_the_same_arguments_give_the_same_plans_to_the_byte_whatever_their_order(count: int, slot: int, seed: int) -> None:
    servers = [DnsServer(name=f"d{i}", addresses=(f"10.96.1.{i}",), names=("example.test.",)) for i in range(1, 4)]
    hosts = [External(name=f"e{i}", host=f"e{i}.example.test", probes=("icmp",)) for i in range(4)]
    subject = snapshot(count, services=[service(i) for i in range(9)], external=hosts, dns=servers)
    random = Random(seed)  # noqa: S311 - an order and no secret
    shuffled = msgspec.structs.replace(
        subject,
        **{
            name: tuple(random.sample(getattr(subject, name), len(getattr(subject, name))))
            for name in ("nodes", "vantages", "services", "external", "dns")
        },
    )
    one, other = composed(subject, slot=slot), composed(shuffled, slot=slot)
    assert [encode(plan) for plan in every(one).values()] == [encode(plan) for plan in every(other).values()]


def test_what_is_known_of_a_plan_without_making_it_is_what_it_is() -> None:
    networks = (Attachment(name="storage", addresses=("10.40.0.9",), mtu=9000),)
    subject = snapshot(30, services=[service(i, critical=i < 2) for i in range(20)])
    extra = [vantage(i, name=f"extra-{i}", dual=True, networks=networks if i < 15 else ()) for i in range(20)]
    subject = msgspec.structs.replace(subject, vantages=(*subject.vantages, *extra))
    for slot in range(3):
        plans = composed(subject, slot=slot)
        for name, plan in every(plans).items():
            assert plans.paths_in(name) == len(plan.paths)
            assert plans.packets_per_second(name) == pytest.approx(pps(plan.paths))
        assert plans.paths == sum(len(plan.paths) for plan in every(plans).values())


def test_services_name_servers_and_hosts_are_shared_out_by_zone_and_critical_ones_are_not() -> None:
    servers = [DnsServer(name="cluster", addresses=("10.96.0.10",), names=("example.test.",), critical=True)]
    hosts = [External(name="example", host="www.example.test", probes=("icmp", "tcp:443"))]
    subject = snapshot(30, services=[service(1), service(2, critical=True)], external=hosts, dns=servers)
    plans = every(composed(subject))
    zones = {plan.identity.vantage: plan.identity.zone for plan in plans.values()}
    probing = {
        prefix: Counter(zones[vantage] for vantage in {one.path.vantage for one in by_target(plans, prefix)[prefix]})
        for prefix in ("service/shop/s001", "service/shop/s002", "external/example", "dns/cluster")
    }
    assert set(probing["service/shop/s001"].values()) == set(probing["external/example"].values()) == {2}
    assert set(probing["service/shop/s002"].values()) == set(probing["dns/cluster"].values()) == {10}
    below = every(composed(subject, PlanSettings()))
    assert len(by_target(below, "service/shop/s001")["service/shop/s001"]) == 30


@settings(max_examples=8, deadline=None)
@given(
    budgets=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    count=st.integers(11, 40),
    slot=st.integers(0, 10**6),
)
def test_survive_57_no_agent_sends_more_than_its_budget_and_no_target_gets_more_than_its_own_whatever_the_slot(
    budgets: tuple[int, int, int], count: int, slot: int
) -> None:
    agent, target, external = budgets
    chosen = msgspec.structs.replace(
        SMALL, agent_packets_per_second=agent, target_packets_per_second=target, external_packets_per_second=external
    )
    chosen = msgspec.structs.replace(chosen, interval=Duration(SECOND))
    hosts = [External(name="example", host="www.example.test", probes=("icmp", "tcp:443", "https://www.example.test/"))]
    subject = snapshot(count, services=[service(1), service(2, critical=True)], external=hosts)
    plans = composed(subject, chosen, slot)
    made = every(plans)
    assert all(pps(plan.paths) <= agent + 1e-9 for plan in made.values())
    for name, paths in by_target(made, "").items():
        assert pps(paths) <= (external if name.startswith("external/") else target) + 1e-9
    assert rotated(plans, generation=2, keys=(), slot=slot + 1).stretched == plans.stretched


@settings(max_examples=8, deadline=None)
@given(critical=st.integers(0, 230), count=st.integers(60, 90), slot=st.integers(0, 10**6), seconds=st.sampled_from([10, 60]))
def test_survive_21_static_and_rotating_peers_and_all_others_of_a_minute_fit_an_agents_limit_of_256(
    critical: int, count: int, slot: int, seconds: int
) -> None:
    chosen = msgspec.structs.replace(SMALL, peers=20, rotation=RotationSettings(peers=20, slot=Duration(seconds * SECOND)))
    plans = composed(snapshot(count, services=[service(i, critical=True) for i in range(critical)]), chosen, slot)
    name = plans.vantages[slot % len(plans)]
    minute = [rotated(plans, generation=2, keys=(), slot=slot + i).plan(name) for i in range(60 // seconds + 1)]
    assert len({one.path.target.peer for plan in minute for one in plan.paths}) <= MAX_PEERS
    assert any(note.endswith("at most 256 distinct peers a minute") for note in plans.notes) == (
        critical > (256 - 20 - 40 if seconds == 60 else 256 - 20 - 140)
    )


def test_long_packets_go_to_one_peer_of_each_zone_once_in_300_seconds() -> None:
    for plan in every(composed(snapshot(30))).values():
        long = [one for one in plan.paths if one.path.layer is Layer.MTU]
        assert {one.interval_ms for one in long} == {300_000}
        assert len({one.path.target.peer for one in long}) == 3


def test_a_further_network_is_probed_between_those_who_are_on_it_at_its_own_addresses() -> None:
    for chosen in (PlanSettings(), SMALL):
        members = [
            vantage(i, name=f"s{i:02}", networks=(Attachment(name="storage", addresses=(f"10.40.0.{1 + i}",), mtu=9000),))
            for i in range(12)
        ]
        subject = msgspec.structs.replace(snapshot(14), vantages=(*members, vantage(13)))
        plans = every(composed(subject, chosen))
        inbound: Counter[str] = Counter()
        for name, plan in plans.items():
            on = [one.path for one in plan.paths if one.path.target.network]
            pods = [path for path in on if path.layer is Layer.POD]
            assert {path.target.network for path in on} <= {"storage"}
            assert {path.layer for path in on} == ({Layer.POD, Layer.MTU} if name != "n13" else set())
            assert all(path.target.address.startswith("10.40.0.") and path.target.peer != plan.identity.node for path in on)
            assert len({path.target.name for path in pods}) == (0 if name == "n13" else 11 if chosen is not SMALL else 6)
            inbound.update({path.target.name for path in pods})
        assert len(set(inbound.values())) == 1


def test_several_vantages_on_one_node_are_vertices_of_their_own() -> None:
    subject = snapshot(20)
    extra = tuple(vantage(i, name=f"extra-{i}") for i in range(5))
    plans = every(composed(msgspec.structs.replace(subject, vantages=(*subject.vantages, *extra))))
    inbound = Counter(
        one.path.target.name
        for plan in plans.values()
        for one in plan.paths
        if one.path.layer is Layer.POD and one.path.kind is Kind.HTTP
    )
    assert len(inbound) == 25
    assert set(inbound.values()) == {6}


def test_intervals_are_those_of_a_small_cluster() -> None:
    subject = snapshot(30, dns=[DnsServer(name="d", addresses=("10.96.0.10",), names=("example.test.",), critical=True)])
    chosen = msgspec.structs.replace(SMALL, dns_interval=Duration(5 * SECOND), mtu_interval=Duration(60 * SECOND))
    found: defaultdict[tuple[Layer, Kind], set[int]] = defaultdict(set)
    for one in composed(subject, chosen).plan("n7").paths:
        found[one.path.layer, one.path.kind].add(one.interval_ms)
    assert found[Layer.POD, Kind.UDP] == found[Layer.HOST, Kind.ICMP] == {10_000}
    assert found[Layer.DNS, Kind.DNS] == {5_000, 30_000}
    assert found[Layer.MTU, Kind.UDP] == {60_000}
    assert {one.path.family for one in composed(subject, chosen).plan("n7").paths} == {Family.IPV4}


def test_among_5000_the_plan_of_one_is_as_large_as_among_200_and_fits_its_budget() -> None:
    plans = composed(snapshot(5000, services=[service(i) for i in range(100)]), PlanSettings())
    assert plans.notes == ()
    assert plans.stretched == 1.0
    assert int(plans.counts.max()) < 250
    assert float(np.max(plans.rates)) < 20
    plan = plans.plan("n4321")
    assert len(plan.paths) == plans.paths_in("n4321")
    assert pps(plan.paths) == pytest.approx(plans.packets_per_second("n4321"))

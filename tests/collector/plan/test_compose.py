from collections.abc import Sequence

import msgspec
import pytest

from collector.discovery.snapshot import DnsServer, External, Node, Service, Snapshot, Vantage
from collector.duration import Duration
from collector.plan.compose import PlanError, Plans, compose, rekeyed
from collector.plan.keys import group_keys, group_secret
from collector.settings import SECOND, Kinds, PlanSettings
from wire.codec import decode_plan, encode
from wire.path import Family, Http, Kind, Layer, Path, Tcp
from wire.plan import Plan, PlannedPath

KEYS = group_keys(group_secret(["a"]), 7)


def snapshot(nodes: int, *, services: Sequence[Service] = (), external: Sequence[External] = (), dual: bool = True) -> Snapshot:
    numbers = range(1, nodes + 1)
    return Snapshot(
        nodes=tuple(
            Node(name=f"n{i}", zone=f"z{i % 3}", addresses=(f"172.30.0.{i}", f"fd30::{i:x}") if dual else (f"172.30.0.{i}",))
            for i in numbers
        ),
        vantages=tuple(
            Vantage(
                name=f"n{i}",
                node=f"n{i}",
                namespace="netmatrix",
                pod=f"agent-n{i}",
                uid=f"uid-{i}",
                addresses=(f"10.30.{i}.2", f"fd31:{i:x}::2") if dual else (f"10.30.{i}.2",),
                key=f"{i:032}",
            )
            for i in numbers
        ),
        services=tuple(services),
        external=tuple(external),
    )


def composed(subject: Snapshot, settings: PlanSettings | None = None, generation: int = 1) -> Plans:
    return compose(subject, settings or PlanSettings(), instance=5, generation=generation, keys=KEYS)


def every(plans: Plans) -> list[Plan]:
    return [plans.plan(name) for name in plans.vantages]


def pps(paths: Sequence[PlannedPath]) -> float:
    cost = {Kind.ICMP: 1, Kind.UDP: 1, Kind.TCP: 3, Kind.HTTP: 6}
    return sum(cost[planned.path.kind] * 1000 / planned.interval_ms for planned in paths)


CART = Service(name="cart", namespace="shop", addresses=("10.96.0.10", "fd96::a"), port=80, probe="http:/health", endpoints=2)
EXAMPLE = External(name="example", host="www.example.test", probes=("icmp", "tcp:443", "https://www.example.test/x?y=1"))


def test_the_same_arguments_give_the_same_plans_to_the_byte_whatever_the_order_of_vantages() -> None:
    subject = snapshot(5, services=[CART], external=[EXAMPLE])
    shuffled = [subject.vantages[place] for place in (3, 0, 4, 2, 1)]
    one, other = composed(subject), composed(msgspec.structs.replace(subject, vantages=tuple(shuffled)))
    for name in one.vantages:
        assert encode(one.plan(name)) == encode(other.plan(name))


def test_every_vantage_probes_every_other_on_each_kind_and_family_and_never_itself() -> None:
    plans = composed(snapshot(4))
    for plan in every(plans):
        name = plan.identity.vantage
        seen = {
            (planned.path.target.name, planned.path.kind, planned.path.family)
            for planned in plan.paths
            if planned.path.layer is Layer.POD
        }
        others = [f"pod/netmatrix/agent-{other}" for other in plans.vantages if other != name]
        assert seen == {(other, kind, family) for other in others for kind in set(Kind) - {Kind.DNS} for family in Family}


def test_pod_targets_carry_the_uid_that_must_answer_and_the_node_as_peer() -> None:
    for planned in composed(snapshot(2)).plan("n1").paths:
        if planned.path.layer is Layer.POD:
            assert (planned.path.target.uid, planned.path.target.peer) == ("uid-2", "n2")
        if isinstance(planned.path.ask, Http):
            assert (planned.path.ask.path, planned.path.ask.port) == ("/echo", 8620)


def test_survive_25_each_family_is_a_path_of_its_own_and_only_where_both_ends_have_it() -> None:
    dual, single = snapshot(2), snapshot(2, dual=False)
    mixed = Snapshot(nodes=dual.nodes, vantages=(dual.vantages[0], single.vantages[1]))
    for plan in every(composed(mixed)):
        pods = {planned.path.family for planned in plan.paths if planned.path.layer is Layer.POD}
        assert pods == {Family.IPV4}
    hosts = [
        (planned.path.target.name, planned.path.family)
        for planned in composed(mixed).plan("n1").paths
        if planned.path.layer is Layer.HOST
    ]
    assert sorted(hosts) == sorted((f"node/n{i}", family) for i in (1, 2) for family in Family)
    only = composed(dual, PlanSettings(families=(Family.IPV6,)))
    assert {planned.path.family for planned in only.plan("n1").paths} == {Family.IPV6}


def test_survive_26_a_service_is_never_pinged_and_left_out_with_a_note_while_nothing_is_behind_it() -> None:
    empty = Service(name="pay", namespace="shop", addresses=("10.96.0.11",), port=80, endpoints=0)
    plans = composed(snapshot(2, services=[CART, empty]))
    services = [planned.path for planned in plans.plan("n1").paths if planned.path.layer is Layer.SERVICE]
    assert {(path.target.name, path.target.address, path.kind) for path in services} == {
        ("service/shop/cart", "10.96.0.10", Kind.HTTP),
        ("service/shop/cart", "fd96::a", Kind.HTTP),
    }
    assert {path.ask.path for path in services if isinstance(path.ask, Http)} == {"/health"}
    assert plans.notes == ("service/shop/pay is left out, since it has no ready endpoints",)


def test_an_external_host_is_asked_over_each_family_and_its_name_is_left_to_the_agent() -> None:
    paths = [p.path for p in composed(snapshot(2, external=[EXAMPLE])).plan("n1").paths if p.path.layer is Layer.EXTERNAL]
    assert len(paths) == 6
    assert {path.target.host for path in paths} == {"www.example.test"}
    https = next(path.ask for path in paths if isinstance(path.ask, Http))
    assert (https.tls, https.port, https.host, https.path) == (True, 443, "www.example.test", "/x?y=1")
    by_address = External(name="resolver", address="203.0.113.7", probes=("tcp:53",))
    one = [p.path for p in composed(snapshot(2, external=[by_address])).plan("n1").paths if p.path.layer is Layer.EXTERNAL]
    assert [(path.family, path.ask) for path in one] == [(Family.IPV4, Tcp(port=53))]


def test_intervals_follow_kind_and_layer() -> None:
    settings = PlanSettings(interval=Duration(2 * SECOND), host_interval=Duration(5 * SECOND), kinds=Kinds(tcp=3, http=0))
    plan = composed(snapshot(2, services=[CART], external=[EXAMPLE]), settings).plan("n1")
    found = {(planned.path.layer, planned.path.kind): planned.interval_ms for planned in plan.paths}
    assert found == {
        (Layer.POD, Kind.ICMP): 2000,
        (Layer.POD, Kind.UDP): 2000,
        (Layer.POD, Kind.TCP): 6000,
        (Layer.HOST, Kind.ICMP): 5000,
        (Layer.SERVICE, Kind.HTTP): 6000,
        (Layer.EXTERNAL, Kind.ICMP): 6000,
        (Layer.EXTERNAL, Kind.TCP): 6000,
        (Layer.EXTERNAL, Kind.HTTP): 6000,
        (Layer.MTU, Kind.ICMP): 300_000,
        (Layer.MTU, Kind.UDP): 300_000,
    }


def test_survive_21_beyond_its_budget_every_interval_of_every_agent_is_stretched_and_it_is_said() -> None:
    settings = PlanSettings(interval=Duration(SECOND))
    plans = composed(snapshot(12), settings)
    assert plans.stretched > 1
    for plan in every(plans):
        assert pps(plan.paths) <= settings.agent_packets_per_second
        assert plan.stretched == plans.stretched
    assert max(pps(plan.paths) for plan in every(plans)) > 0.99 * settings.agent_packets_per_second
    assert any(note.startswith(f"all intervals are {plans.stretched:.3f} times as long") for note in plans.notes)
    assert composed(snapshot(3)).stretched == 1.0
    assert composed(snapshot(3)).notes == ()


def test_survive_57_an_external_host_has_one_budget_for_all_agents_and_only_its_own_paths_are_stretched() -> None:
    plans = composed(snapshot(60, external=[EXAMPLE], dual=False), PlanSettings(external_packets_per_second=2))
    paths = [planned for plan in every(plans) for planned in plan.paths]
    assert 1.9 < pps([planned for planned in paths if planned.path.layer is Layer.EXTERNAL]) <= 2.000001
    assert {p.interval_ms for p in paths if p.path.layer is Layer.POD and p.path.kind is Kind.ICMP} == {10_000}
    assert any(note.startswith("intervals towards external/example are 10.000 times") for note in plans.notes)


def test_a_plan_of_a_vantage_says_who_it_is() -> None:
    identity = composed(snapshot(2)).plan("n2").identity
    assert (identity.vantage, identity.node, identity.zone, identity.pod) == ("n2", "n2", "z2", "agent-n2")
    assert identity.addresses == ("10.30.2.2", "fd31:2::2")


def test_one_more_node_leaves_the_names_of_all_other_paths_as_they_are() -> None:
    few, more = composed(snapshot(3)), composed(snapshot(4), generation=2)
    before, after = (
        {planned.path.id for plan in every(plans) for planned in plan.paths if planned.path.layer is not Layer.MTU}
        for plans in (few, more)
    )
    assert before < after


def test_every_plan_is_one_that_an_agent_can_read() -> None:
    for plan in every(composed(snapshot(3, services=[CART], external=[EXAMPLE]))):
        assert decode_plan(encode(plan)) == plan


def test_other_keys_change_nothing_but_the_keys_and_the_generation() -> None:
    plans = composed(snapshot(3))
    keys = group_keys(group_secret(["b"]), 9)
    others = compose(snapshot(3), PlanSettings(), instance=5, generation=2, keys=keys)
    assert every(rekeyed(plans, generation=2, keys=keys)) == every(others)


def test_survive_33_a_plan_with_more_paths_than_an_agent_takes_is_refused_and_not_made() -> None:
    names = tuple(f"name-{number}.example.test." for number in range(8))
    servers = [DnsServer(name=f"d{i}", addresses=("10.96.0.10", "10.96.0.11"), names=names) for i in range(1112)]
    subject = msgspec.structs.replace(snapshot(1, dual=False), dns=tuple(servers))
    with pytest.raises(PlanError, match="the plan of n1 would have 20017 paths, more than 20000"):
        composed(subject)


def test_an_empty_snapshot_has_no_plans() -> None:
    assert len(composed(Snapshot())) == 0
    alone = composed(snapshot(1)).plan("n1")
    assert {planned.path.layer for planned in alone.paths} == {Layer.HOST}


def test_a_path_keeps_its_name_for_ever() -> None:
    """The number was written down once; a change means that all history is cut."""
    path: Path = composed(snapshot(2)).plan("n1").paths[0].path
    assert path.canonical.splitlines()[0] == "vantage=2:n1"
    assert f"{path.id:016x}" == "3f75283cdb80f408"

"""Other ways to a service than its ClusterIP, further probes of it, and who is probed no more."""

import pytest
from msgspec.structs import replace

from collector.discovery.snapshot import Attachment, Door, Node, Service, Snapshot, Vantage
from collector.matrix.places import target_places
from collector.plan.compose import Plans, compose
from collector.settings import PlanSettings
from wire.path import Http, Kind, Layer, Path, Tcp

CART = Service(
    name="cart",
    namespace="shop",
    addresses=("10.96.0.10",),
    port=80,
    probe="http:/health",
    also=("tcp",),
    endpoints=2,
    doors=(
        Door("endpoint", "cart-0", ("10.30.1.9",), 8080, "n1"),
        Door("endpoint", "10.30.7.7", ("10.30.7.7",), 8080),
        Door("node_port", "n2", ("172.30.0.2",), 30080, "n2"),
        Door("load_balancer", "192.0.2.7", ("192.0.2.7",), 80),
    ),
)


def snapshot(count: int, *services: Service, gone: int = 0) -> Snapshot:
    numbers = range(1, count + 1)
    return Snapshot(
        nodes=tuple(Node(f"n{i}", "z1", (f"172.30.{i >> 8}.{i & 255}",)) for i in numbers),
        vantages=tuple(
            Vantage(
                name=f"n{i}",
                node=f"n{i}",
                namespace="netmatrix",
                pod=f"agent-{i}",
                addresses=(f"10.30.{i >> 8}.{i & 255}",),
                networks=(Attachment("storage", (f"10.31.{i >> 8}.{i & 255}",)),) if i % 2 else (),
                excluded="terminating" if i == gone else "",
            )
            for i in numbers
        ),
        services=services,
        mtu=1400,
    )


def plans_of(subject: Snapshot) -> Plans:
    return compose(subject, PlanSettings(), instance=1, generation=1, keys=())


def paths_of(plans: Plans, name: str) -> list[Path]:
    return [planned.path for planned in plans.plan(name).paths]


def test_every_door_is_a_target_of_its_own_and_is_asked_as_the_service_is() -> None:
    paths = [path for path in paths_of(plans_of(snapshot(2, CART)), "n1") if path.layer is Layer.SERVICE]
    found = {(path.target.name, path.target.peer, path.target.address, path.ask) for path in paths}
    assert found == {
        (name, peer, address, ask)
        for name, peer, address, port in (
            ("service/shop/cart", "service/shop/cart", "10.96.0.10", 80),
            ("endpoint/shop/cart/cart-0", "n1", "10.30.1.9", 8080),
            ("endpoint/shop/cart/10.30.7.7", "endpoint/shop/cart/10.30.7.7", "10.30.7.7", 8080),
            ("node_port/shop/cart/n2", "n2", "172.30.0.2", 30080),
            ("load_balancer/shop/cart/192.0.2.7", "load_balancer/shop/cart/192.0.2.7", "192.0.2.7", 80),
        )
        for ask in (Http(port=port, path="/health"), Tcp(port=port))
    }
    assert not any(path.kind is Kind.ICMP for path in paths)


def test_the_place_of_a_door_is_where_it_leads_to_and_not_the_service_so_that_sums_of_the_service_are_its_own() -> None:
    places = target_places(snapshot(2, CART))
    endpoint = places["endpoint/shop/cart/cart-0"]
    assert (endpoint.node, endpoint.zone, endpoint.namespace, endpoint.pod) == ("n1", "z1", "shop", "cart-0")
    doors = ("endpoint/shop/cart/cart-0", "node_port/shop/cart/n2", "load_balancer/shop/cart/192.0.2.7")
    assert [places[name].service for name in doors] == [None] * 3
    assert places["load_balancer/shop/cart/192.0.2.7"].node is None


def test_survive_26_a_headless_service_is_probed_by_its_endpoints_alone_and_not_at_all_without_one() -> None:
    headless = replace(CART, addresses=(), doors=CART.doors[:1])
    names = {p.target.name for p in paths_of(plans_of(snapshot(2, headless)), "n1") if p.layer is Layer.SERVICE}
    assert names == {"endpoint/shop/cart/cart-0"}
    plans = plans_of(snapshot(2, replace(headless, endpoints=0, doors=())))
    assert not any(path.layer is Layer.SERVICE for path in paths_of(plans, "n1"))
    assert plans.notes == ("service/shop/cart is left out, since it has no ready endpoints",)


@pytest.mark.parametrize("count", [6, 160], ids=["everybody probes all", "everybody has some peers"])
def test_survive_19_one_that_is_terminating_is_probed_by_nobody_and_keeps_its_row(count: int) -> None:
    plans = plans_of(snapshot(count, gone=3))
    every = {name: paths_of(plans, name) for name in plans.vantages}
    assert not [path for paths in every.values() for path in paths if path.target.name == "pod/netmatrix/agent-3"]
    assert every["n3"], "it goes on until it stops"
    assert {name: len(paths) for name, paths in every.items()} == {name: plans.paths_in(name) for name in every}


@pytest.mark.parametrize("count", [6, 160])
def test_who_is_terminating_changes_no_other_path_so_that_a_drain_moves_no_peers(count: int) -> None:
    before, after = plans_of(snapshot(count)), plans_of(snapshot(count, gone=3))
    for name in before.vantages[:10]:
        kept = [path for path in paths_of(before, name) if path.target.name != "pod/netmatrix/agent-3"]
        assert paths_of(after, name) == kept


def test_one_that_is_not_ready_or_settling_is_probed_as_before() -> None:
    subject = snapshot(3)
    plain = plans_of(subject)
    for word in ("not_ready", "settling"):
        marked = replace(subject, vantages=(replace(subject.vantages[0], excluded=word), *subject.vantages[1:]))
        assert [paths_of(plans_of(marked), name) for name in plain.vantages] == [paths_of(plain, n) for n in plain.vantages]

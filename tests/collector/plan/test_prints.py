"""Whose plan changed when the cluster did, told without making plans; compared here with the plans themselves."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from collector.discovery.snapshot import Attachment, DnsServer, External, Service, Snapshot
from collector.duration import Duration
from collector.plan.compose import Plans, compose, rekeyed, rotated
from collector.settings import SECOND, PlanSettings
from tests.collector.plan.test_sparse import SMALL, node, service, snapshot, vantage
from wire.plan import GroupKey, Plan

KEYS = (GroupKey(1, b"k" * 16),)
DNS = DnsServer("cluster", ("10.96.0.10",), ("kubernetes.default.svc.cluster.local.",))
BEFORE = structs.replace(
    snapshot(30, services=[service(1), service(2, critical=True)], dns=[DNS]),
    vantages=(
        *(vantage(number) for number in range(26)),
        *(vantage(number, networks=(Attachment("storage", (f"10.99.0.{number}",), 9000),)) for number in range(26, 30)),
    ),
    external=(External("example", ("tcp:80",), address="192.0.2.1"),),
    mtu=1500,
)


def composed(subject: Snapshot, generation: int, chosen: PlanSettings = SMALL, slot: int = 3) -> Plans:
    return compose(subject, chosen, instance=5, generation=generation, keys=KEYS, slot=slot)


def asked(plans: Plans) -> dict[str, Plan]:
    """All plans but for their generation."""
    return {name: structs.replace(plans.plan(name), generation=0) for name in plans.vantages}


def other(number: int, **changes: Any) -> Snapshot:
    return structs.replace(
        BEFORE,
        vantages=tuple(structs.replace(one, **changes) if one.name == f"n{number}" else one for one in BEFORE.vantages),
    )


CHANGES: dict[str, Callable[[], Snapshot]] = {
    "nothing": lambda: BEFORE,
    "another order": lambda: structs.replace(BEFORE, vantages=BEFORE.vantages[::-1], nodes=BEFORE.nodes[::-1]),
    "a vantage leaves": lambda: structs.replace(BEFORE, vantages=BEFORE.vantages[1:]),
    "a vantage joins": lambda: structs.replace(
        BEFORE, vantages=(*BEFORE.vantages, vantage(30)), nodes=(*BEFORE.nodes, node(30))
    ),
    "another address": lambda: other(3, addresses=("10.44.0.1",)),
    "another family": lambda: other(3, addresses=("fd44::1",)),
    "one family more": lambda: other(3, addresses=("10.30.0.4", "fd44::1")),
    "another UID": lambda: other(3, uid="uid-other"),
    "another port": lambda: other(3, port=9999),
    "another key": lambda: other(3, key="k" * 40),
    "settling": lambda: other(3, excluded="settling"),
    "terminating": lambda: other(3, excluded="terminating"),
    "another network": lambda: other(28, networks=(Attachment("storage", ("10.99.1.1",), 9000),)),
    "another MTU of a network": lambda: other(28, networks=(Attachment("storage", ("10.99.0.28",), 1500),)),
    "no further network": lambda: other(28, networks=()),
    "another zone": lambda: structs.replace(BEFORE, nodes=(structs.replace(BEFORE.nodes[0], zone="z9"), *BEFORE.nodes[1:])),
    "another address of a node": lambda: structs.replace(
        BEFORE, nodes=(structs.replace(BEFORE.nodes[0], addresses=("172.30.9.9",)), *BEFORE.nodes[1:])
    ),
    "a node is cordoned": lambda: structs.replace(
        BEFORE, nodes=(structs.replace(BEFORE.nodes[0], excluded="cordoned"), *BEFORE.nodes[1:])
    ),
    "a service more": lambda: structs.replace(BEFORE, services=(*BEFORE.services, service(3))),
    "a service of the other family": lambda: structs.replace(
        BEFORE, services=(Service("s001", "shop", ("fd96::1",), 80, endpoints=2), *BEFORE.services[1:])
    ),
    "a service without endpoints": lambda: structs.replace(
        BEFORE, services=(structs.replace(BEFORE.services[0], endpoints=0), *BEFORE.services[1:])
    ),
    "another MTU": lambda: structs.replace(BEFORE, mtu=1400),
    "no name server": lambda: structs.replace(BEFORE, dns=()),
    "another external host": lambda: structs.replace(BEFORE, external=(External("example", ("tcp:80",), address="192.0.2.2"),)),
}


SEEN_BY_SOME = {"another key", "another network", "another MTU of a network", "no further network", "one family more"}
"""Changes of a vantage that not all who probe it see; they fetch the same plan once more."""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("full_mesh_nodes", [10, 100])
def test_a_plan_has_another_generation_where_it_is_another(change: str, full_mesh_nodes: int) -> None:
    chosen = structs.replace(SMALL, full_mesh_nodes=full_mesh_nodes)
    before = composed(BEFORE, 7, chosen)
    after = composed(CHANGES[change](), 8, chosen).following(before)
    old = asked(before)
    for name, plan in asked(after).items():
        same = plan == old.get(name)
        known = change in SEEN_BY_SOME or name == "n3"  # itself it has another row, where it is another pod
        assert after.generation_of(name) == (7 if same else 8) or (same and known), name
        assert after.plan(name).generation == after.generation_of(name)


def test_where_one_of_many_leaves_most_plans_stay() -> None:
    large = snapshot(400)
    before = composed(large, 1)
    after = composed(structs.replace(large, vantages=large.vantages[1:]), 2).following(before)
    assert int((after.since == 2).sum()) < 100


def test_other_settings_keys_and_slots_and_another_process_change_all_plans() -> None:
    before = composed(BEFORE, 1)
    longer = structs.replace(SMALL, timeout=Duration(SECOND // 2))
    assert set(composed(BEFORE, 2, longer).following(before).since.tolist()) == {2}
    assert set(rekeyed(before, generation=2, keys=(GroupKey(2, b"j" * 16),)).following(before).since.tolist()) == {2}
    assert set(rotated(before, generation=2, keys=KEYS, slot=4).following(before).since.tolist()) == {2}
    assert set(structs.replace(composed(BEFORE, 2), instance=6).following(before).since.tolist()) == {2}


def test_a_plan_that_came_back_is_a_later_one() -> None:
    before = composed(BEFORE, 1)
    between = composed(other(3, port=9999), 2).following(before)
    again = composed(BEFORE, 3).following(between)
    assert again.generation_of("n3") == 3


def test_whoever_has_no_plan_is_told_the_number_of_all() -> None:
    assert composed(BEFORE, 4).generation_of("nobody") == 4

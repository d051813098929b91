"""What declared expectations want is in the plans, once, within the budgets, and from those who may ask alone."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.derivation import ExpectSettings
from collector.discovery.snapshot import Pod, PodPort, Snapshot
from collector.discovery.wanted import wants_in
from collector.expectation.document import declared as read
from collector.plan.compose import Plans, compose
from collector.planning import Planning
from collector.policy.network_policy import network_policy
from collector.settings import PlanSettings
from tests.collector.expectation.declaring import expectation
from tests.collector.plan.test_sparse import SMALL, every, pps, service, snapshot, vantage
from wire.path import Kind, Layer

DB = Pod("shop", "db-0", ("10.99.0.9",), "n1", {"app": "db"}, (PodPort(5432),))
TO_DB = "{pods: {podSelector: {matchLabels: {app: db}}}}"


def declared(subject: Snapshot, *documents: dict[str, Any]) -> Snapshot:
    return structs.replace(subject, pods=(DB,), expectations=tuple(read(one) for one in documents))


def composed(subject: Snapshot, chosen: PlanSettings = SMALL, slot: int = 0) -> Plans:
    wants = wants_in(subject, ExpectSettings())
    return compose(subject, chosen, instance=5, generation=1, keys=(), slot=slot, wants=wants)


def words(plans: Plans, prefix: str) -> dict[str, list[tuple[str, Layer, Kind]]]:
    return {
        name: found
        for name, plan in every(plans).items()
        if (
            found := [
                (one.path.target.name, one.path.layer, one.path.kind)
                for one in plan.paths
                if one.path.target.name.startswith(prefix)
            ]
        )
    }


def test_a_pod_that_is_not_ours_is_probed_by_those_who_are_selected() -> None:
    spec = f"{{from: [{{nodes: {{}}}}, {{pods: {{}}}}], to: [{TO_DB}], expect: allow}}"
    found = words(composed(declared(snapshot(4), expectation("a", spec))), "pod/shop")
    assert found == {f"n{number}": [("pod/shop/db-0", Layer.POD, Kind.TCP)] for number in range(4)}


def test_a_closed_one_has_its_control_in_the_plan_of_another() -> None:
    closed = network_policy(
        {
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {
                "ingress": [
                    {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "pay"}}}]},
                ]
            },
        }
    )
    pay = structs.replace(vantage(3, name="pay"), node="n2", namespace="pay")
    spec = "{to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}], expect: deny}"
    subject = declared(
        structs.replace(snapshot(3), vantages=(*snapshot(3).vantages, pay), policies=(closed,), profile="strict"),
        expectation("netmatrix/a", spec),
    )
    assert set(words(composed(subject), "pod/shop")) == {"n0", "n1", "n2", "pay"}
    assert wants_in(subject, ExpectSettings()).proofs == {"pod/shop/db-0:5432": "vantage"}


ASKED = ("{pods: {}}", "{nodes: {}}", TO_DB, "{cidr: {address: 203.0.113.7}}", "{service: {name: s000, namespace: shop}}")


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(2, 30),
    targets=st.lists(st.sampled_from(ASKED), min_size=1, max_size=3),
    ports=st.sampled_from(["[]", "[{port: 8620}, {protocol: UDP, port: 8620}]", "[{protocol: ICMP}]"]),
    dual=st.booleans(),
    slot=st.integers(0, 9),
    family=st.sampled_from(["", ", family: [IPv4]"]),
)
def test_no_path_is_twice_in_a_plan_and_what_is_known_of_a_plan_without_making_it_is_what_it_is(
    *, count: int, targets: Sequence[str], ports: str, dual: bool, slot: int, family: str
) -> None:
    spec = f"{{to: [{', '.join(targets)}], ports: {ports}, expect: allow{family}}}"
    vantages = tuple(vantage(number, dual=dual) for number in range(count))
    before = structs.replace(snapshot(count, services=[service(0)]), vantages=vantages)
    plans = composed(declared(before, expectation("a", spec)), slot=slot)
    bare = every(compose(before, SMALL, instance=5, generation=1, keys=(), slot=slot))
    for name, plan in every(plans).items():
        ids = [one.path.id for one in plan.paths]
        assert len(ids) == len(set(ids)) == plans.paths_in(name)
        assert pps(plan.paths) == pytest.approx(plans.packets_per_second(name), rel=0.01)
        assert {one.path.id for one in bare[name].paths} <= set(ids)
        kept = {(one.path.target.name, one.path.layer, one.path.kind, one.path.family) for one in plan.paths}
        for want in wants_in(declared(before, expectation("a", spec)), ExpectSettings()).paths:
            if want.vantage == name:
                assert (want.target.name, want.layer) in {(target, layer) for target, layer, _, _ in kept}


def test_the_budget_of_a_target_holds_for_what_is_wanted_too() -> None:
    spec = f"{{to: [{TO_DB}], expect: allow}}"
    chosen = structs.replace(SMALL, target_packets_per_second=1)
    plans = composed(declared(snapshot(40), expectation("a", spec)), chosen)
    found = [one for plan in every(plans).values() for one in plan.paths if one.path.target.name == "pod/shop/db-0"]
    assert len(found) == 40
    assert pps(found) <= 1.0001


def test_a_join_touches_the_plans_of_few_also_with_expectations() -> None:
    spec = f"{{to: [{TO_DB}], expect: allow}}"

    def paths(count: int) -> set[int]:
        plans = composed(declared(snapshot(count), expectation("a", spec)))
        return {one.path.id for plan in every(plans).values() for one in plan.paths if one.path.kind is not Kind.UDP}

    def bare(count: int) -> set[int]:
        plans = compose(snapshot(count), SMALL, instance=5, generation=1, keys=())
        return {one.path.id for plan in every(plans).values() for one in plan.paths if one.path.kind is not Kind.UDP}

    touched = len(paths(60) ^ paths(61))
    assert touched <= len(bare(60) ^ bare(61)) + 1


def test_what_nobody_can_measure_is_a_note() -> None:
    plans = composed(declared(snapshot(3), expectation("shop/a", f"{{to: [{TO_DB}], expect: allow}}")))
    assert plans.notes == ("expectation shop/a: no vantage is among its sources, so that nothing measures it",)


def test_another_plan_is_needed_only_where_something_else_is_wanted() -> None:
    made = Planning(PlanSettings(), instance=1, now_ns=lambda: 10**18)
    subject = declared(snapshot(3), expectation("a", f"{{to: [{TO_DB}], expect: allow}}"))
    made.compose(subject, generation=1)
    assert made.is_planned(subject)
    assert made.is_planned(structs.replace(subject, pods=(structs.replace(DB, ready=False), Pod("shop", "x", ("10.9.9.9",)))))
    assert not made.is_planned(structs.replace(subject, pods=(structs.replace(DB, addresses=("10.99.0.10",)),)))
    assert not made.is_planned(structs.replace(subject, pods=()))
    assert not made.is_planned(structs.replace(subject, expectations=()))

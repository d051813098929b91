"""What is kept of a policy: what it says, or, where that is not understood, whom it may be about."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.discovery.cluster.policies import EXPECTATIONS, POLICIES, Expected, Unreadable
from collector.discovery.cluster.resource import Resource
from collector.discovery.cluster.rights import RIGHTS, right
from collector.expectation.document import Declared
from collector.policy.ends import Namespace, Pod
from collector.policy.rules import Opaque, Policy

ALL: tuple[Resource[Any], ...] = (*POLICIES, *EXPECTATIONS.values())
SPEC_KEYS = ["podSelector", "ingress", "egress", "subject", "to", "expect"]
BY_NAME = {(one.group, one.name): one for one in POLICIES}
NETWORK = BY_NAME["networking.k8s.io", "networkpolicies"]
CLUSTER = BY_NAME["policy.networking.k8s.io", "clusternetworkpolicies"]
META = {"name": "p", "namespace": "x", "uid": "u", "managedFields": [{"x": "y"}]}


def kept(resource: Any, spec: Any, **meta: Any) -> Policy | Opaque:
    """Of an object in a list, where its kind is not said."""
    found: Policy | Opaque = resource.read(json.dumps({"metadata": {**META, **meta}, "spec": spec, "status": {}}).encode())
    return found


def pod(**labels: str) -> Pod:
    return Pod(Namespace("x", {}), "p", labels, ("10.0.0.1",))


def test_a_policy_in_a_list_says_no_kind_and_is_read() -> None:
    assert str(kept(NETWORK, {"podSelector": {}})) == "NetworkPolicy x/p"
    spec: dict[str, Any] = {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}}
    assert str(kept(CLUSTER, spec)) == "ClusterNetworkPolicy p"


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {"matchLabels": {"app": "a"}}, "newer": {}},
        {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{"from": [{"newerSelector": {}}]}]},
        {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{"ports": [{"protocol": "QUIC"}]}]},
    ],
)
def test_one_with_something_that_is_not_known_is_kept_as_not_understood(spec: Any) -> None:
    found = kept(NETWORK, spec)
    assert isinstance(found, Opaque)
    assert found.because.startswith("not understood: spec.")
    assert found.selects(pod(app="a"))


def test_a_cluster_policy_with_a_newer_peer_makes_its_own_subject_unknown_and_nobody_else() -> None:
    subject = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}}
    rule = {"action": "Deny", "from": [{"serviceAccounts": {}}]}
    found = kept(CLUSTER, {"tier": "Admin", "priority": 1, "subject": subject, "ingress": [rule]})
    assert isinstance(found, Opaque)
    assert (found.selects(pod(app="a")), found.selects(pod(app="b"))) == (True, False)


def test_what_changes_nothing_that_a_policy_says_is_no_change() -> None:
    spec: dict[str, Any] = {"podSelector": {}, "ingress": [{}]}
    assert kept(NETWORK, spec) == kept(NETWORK, spec, labels={"a": "b"}, resourceVersion="9", generation=2)


def test_policies_of_kubernetes_that_calico_shows_as_its_own_are_not_kept_twice() -> None:
    calico = BY_NAME["projectcalico.org", "networkpolicies"]
    assert not calico.wanted(kept(calico, {}, name="knp.default.shut"))
    assert calico.wanted(kept(calico, {}, name="default.shut"))


def test_of_an_expectation_that_is_not_understood_the_reason_is_kept() -> None:
    (namespaced, _) = EXPECTATIONS.values()
    good = {"to": [{"pods": {}}], "expect": "allow"}
    read = {
        name: namespaced.read(json.dumps({"metadata": {**META, "generation": 3}, "spec": spec}).encode())
        for name, spec in (("good", good), ("bad", {**good, "more": 1}))
    }
    assert isinstance(read["good"].said, Declared)
    assert read["good"].generation == 3
    said = read["bad"].said
    assert isinstance(said, Unreadable)
    assert said == Unreadable("ReachabilityExpectation", "x", "p", "u", said.because)
    assert said.because.startswith("spec.more: unknown key; allowed are ")


def test_every_kind_may_be_missing_and_has_its_rights() -> None:
    for resource in ALL:
        assert resource.optional
        assert right(resource.group, resource.name, "list", "watch").optional
    read = {(one.group, one.name) for one in ALL}
    assert read == {(one.group, one.resource) for one in RIGHTS if one.optional and "list" in one.verbs}


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode))
def test_a_reader_refuses_or_keeps_and_does_nothing_else(text: bytes) -> None:
    for resource in ALL:
        try:
            assert isinstance(resource.read(text), Policy | Opaque | Expected)
        except ValueError:
            continue


@given(
    st.dictionaries(
        st.sampled_from(["podSelector", "ingress", "egress", "subject", "to", "expect"]), st.none() | st.lists(st.text())
    )
)
def test_whatever_its_spec_is_an_object_with_a_name_is_kept(spec: Any) -> None:
    for resource in ALL:
        text = json.dumps({"metadata": META, "spec": spec}).encode()
        assert isinstance(resource.read(text), Policy | Opaque | Expected)


def test_survive_33_a_policy_as_long_as_the_api_takes_is_not_read_and_its_pods_are_unknown() -> None:
    blocks = [{"ipBlock": {"cidr": f"10.{number // 256}.{number % 256}.0/24"}} for number in range(16_000)]
    found = kept(NETWORK, {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": blocks}]})
    assert isinstance(found, Opaque)
    assert re.fullmatch(r"not read: \d+ bytes, more than 262144", found.because)
    assert (found.namespace, str(found)) == ("x", "NetworkPolicy x/p")

"""What a policy may be about that is not understood: what its selector says, and wider rather than narrower."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.policy.document import opaque_of
from collector.policy.ends import Namespace, Pod
from collector.policy.labels import namespace_labels

SPACES = {name: Namespace(name, namespace_labels(name, {"team": team})) for name, team in (("x", "one"), ("y", "two"))}
PODS = {
    f"{space}/{name}": Pod(SPACES[space], name, labels, ("10.0.0.1",))
    for space in SPACES
    for name, labels in (("a", {"app": "a"}), ("b", {"app": "b", "tier": "t"}), ("bare", {}))
}
EVERY = set(PODS)
CILIUM, CALICO, ANTREA = "cilium.io/v2", "crd.projectcalico.org/v1", "crd.antrea.io/v1beta1"
ADMIN = "policy.networking.k8s.io/v1alpha1"
KINDS = [
    (CILIUM, "CiliumNetworkPolicy"),
    (CALICO, "GlobalNetworkPolicy"),
    (ANTREA, "NetworkPolicy"),
    (ADMIN, "AdminNetworkPolicy"),
]
KEYS = ["endpointSelector", "selector", "appliedTo", "subject", "ingress", "matchLabels", "pods", "podSelector"]


def about(version: str, kind: str, spec: Any, namespace: str = "", **more: Any) -> set[str]:
    metadata = {"name": "p", **({"namespace": namespace} if namespace else {})}
    document = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, **more}
    opaque = opaque_of(document)
    return {name for name, pod in PODS.items() if opaque.selects(pod)}


def of(space: str) -> set[str]:
    return {name for name in PODS if name.startswith(f"{space}/")}


def test_of_a_kind_that_nobody_knows_it_is_all_pods_in_its_scope() -> None:
    assert about("example.com/v1", "Fence", {"podSelector": {}}) == EVERY
    assert about("example.com/v1", "Fence", {}, "x") == of("x")


@pytest.mark.parametrize(
    ("selector", "pods"),
    [
        ({}, of("x")),
        ({"matchLabels": {"app": "a"}}, {"x/a"}),
        ({"matchLabels": {"k8s:app": "a"}}, {"x/a"}),
        ({"matchLabels": {"any:app": "a"}}, {"x/a"}),
        ({"matchLabels": {"reserved:host": ""}}, of("x")),
        ({"matchLabels": {"k8s:io.cilium.k8s.policy.serviceaccount": "s"}}, of("x")),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, {"x/b"}),
        ({"matchLabels": 7}, of("x")),
    ],
)
def test_cilium(selector: Any, pods: set[str]) -> None:
    assert about(CILIUM, "CiliumNetworkPolicy", {"endpointSelector": selector}, "x") == pods


def test_cilium_for_the_whole_cluster_selects_namespaces_too_and_one_for_nodes_no_pod() -> None:
    kind = "CiliumClusterwideNetworkPolicy"
    assert about(CILIUM, kind, {"endpointSelector": {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "y"}}}) == of("y")
    labels = {"k8s:io.cilium.k8s.namespace.labels.team": "one", "app": "a"}
    assert about(CILIUM, kind, {"endpointSelector": {"matchLabels": labels}}) == {"x/a"}
    assert about(CILIUM, kind, {"nodeSelector": {}}) == set()


def test_cilium_with_several_specs_is_about_the_pods_of_each() -> None:
    specs = [{"endpointSelector": {"matchLabels": {"app": app}}} for app in ("a", "b")]
    assert about(CILIUM, "CiliumNetworkPolicy", None, "x", specs=specs) == {"x/a", "x/b"}


@pytest.mark.parametrize(
    ("selector", "pods"),
    [
        ("", of("x")),
        ("all()", of("x")),
        ("app == 'a'", {"x/a"}),
        ('app == "a"', {"x/a"}),
        ("app != 'a'", {"x/b", "x/bare"}),
        ("app in {'a', 'b'} && has(tier)", {"x/b"}),
        ("app not in { 'a' }", {"x/b", "x/bare"}),
        ("!has(app)", {"x/bare"}),
        ("app == 'a' || app == 'b'", of("x")),
        ("app starts with 'a'", of("x")),
        ("projectcalico.org/orchestrator == 'k8s' && app == 'a'", {"x/a"}),
        ("projectcalico.org/namespace == 'y'", set()),
    ],
)
def test_calico(selector: str, pods: set[str]) -> None:
    assert about(CALICO, "NetworkPolicy", {"selector": selector}, "x") == pods


def test_calico_for_the_whole_cluster_selects_namespaces_by_their_labels_or_their_name() -> None:
    kind = "GlobalNetworkPolicy"
    assert about(CALICO, kind, {"namespaceSelector": "team == 'two'", "selector": "app == 'a'"}) == {"y/a"}
    assert about(CALICO, kind, {"namespaceSelector": "projectcalico.org/name == 'x'"}) == of("x")
    assert about(CALICO, kind, {}) == EVERY


def test_antrea_is_about_what_it_or_one_of_its_rules_is_applied_to() -> None:
    kind = "ClusterNetworkPolicy"
    pods = {"podSelector": {"matchLabels": {"app": "a"}}}
    assert about(ANTREA, kind, {"appliedTo": [pods]}) == {"x/a", "y/a"}
    spaces = {"namespaceSelector": {"matchLabels": {"team": "two"}}}
    assert about(ANTREA, kind, {"ingress": [{"appliedTo": [pods | spaces]}, {"appliedTo": [spaces]}]}) == of("y")
    assert about(ANTREA, kind, {"appliedTo": [{"group": "g"}]}) == EVERY
    assert about(ANTREA, kind, {"appliedTo": [{"nodeSelector": {}}]}) == set()
    assert about(ANTREA, "NetworkPolicy", {"appliedTo": [pods]}, "x") == {"x/a"}


def test_an_admin_network_policy_has_a_subject() -> None:
    assert about(ADMIN, "AdminNetworkPolicy", {"subject": {"namespaces": {"matchLabels": {"team": "two"}}}}) == of("y")
    pods = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}
    assert about(ADMIN, "BaselineAdminNetworkPolicy", {"subject": {"pods": pods}}) == {"x/a", "y/a"}
    assert about(ADMIN, "AdminNetworkPolicy", {}) == EVERY


@given(
    st.sampled_from(KINDS),
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    ),
)
def test_whatever_stands_in_it_there_is_an_answer(kind: tuple[str, str], spec: Any) -> None:
    assert about(*kind, spec, "x") <= EVERY

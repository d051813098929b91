"""What is kept of objects: what matters, in whatever state the API sends it, and nothing that beats with every heartbeat."""

import gc
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.discovery.cluster.addresses import checked
from collector.discovery.cluster.kept import Endpoint, Namespace, Node, ServicePort, SlicePort
from collector.discovery.cluster.metadata import MAX_ANNOTATION, MAX_NETWORKS_TEXT
from collector.discovery.cluster.objects import NAMESPACES, NODES, SERVICES, SLICES
from collector.discovery.cluster.pods import PODS
from collector.discovery.cluster.resource import Resource
from collector.discovery.cluster.rights import right

RESOURCES: tuple[Resource[Any], ...] = (NODES, NAMESPACES, PODS, SERVICES, SLICES)
META = {"name": "one", "namespace": "shop", "uid": "u1", "resourceVersion": "5", "managedFields": [{"x": "y" * 1000}]}


def node(**changed: Any) -> bytes:
    status = {
        "addresses": [
            {"type": "Hostname", "address": "one"},
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "ExternalIP", "address": "198.51.100.1"},
            {"type": "InternalIP", "address": "2001:db8::1"},
        ],
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-25T00:00:00Z"}],
        "images": [{"names": ["x"]}],
    }
    meta = {"name": "one", "labels": {"topology.kubernetes.io/zone": "za", "other": "x" * 10_000}, "resourceVersion": "5"}
    return json.dumps({"metadata": meta, "spec": {}, "status": status, **changed}).encode()


def test_of_a_node_its_zone_and_its_internal_addresses_are_kept() -> None:
    addresses, labels = ("192.0.2.1", "2001:db8::1"), {"topology.kubernetes.io/zone": "za"}
    assert NODES.read(node()) == Node("one", "za", addresses, cordoned=False, ready=True, labels=labels)
    assert NODES.read(node(spec={"unschedulable": True})).cordoned
    assert not NODES.read(node(status={})).ready


def test_a_heartbeat_changes_nothing() -> None:
    later = node().replace(b"00:00:00Z", b"00:05:00Z").replace(b'"resourceVersion": "5"', b'"resourceVersion": "6"')
    assert later != node()
    assert NODES.read(later) == NODES.read(node())


def test_a_namespace_asks_for_vantages_by_the_word_true_alone() -> None:
    def read(**labels: str) -> Namespace:
        return NAMESPACES.read(json.dumps({"metadata": {"name": "shop", "labels": labels or None}}).encode())

    assert read(**{"netmatrix.io/vantage": "true"}).vantages
    assert not read(**{"netmatrix.io/vantage": "yes"}).vantages
    assert not read().vantages


def test_of_a_pod_its_readiness_its_age_and_its_port_are_kept() -> None:
    body: dict[str, Any] = {
        "metadata": {
            **META,
            "creationTimestamp": "2026-11-25T00:00:00Z",
            "labels": {"app.kubernetes.io/component": "agent"},
            "annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"},
        },
        "spec": {"nodeName": "n1", "containers": [{"ports": [{"name": "stamp", "containerPort": 9000}]}, {}]},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": "10.244.0.1"}, {"ip": "fd44::1"}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-25T00:00:07Z"}],
        },
    }
    pod = PODS.read(json.dumps(body).encode())
    assert (pod.node, pod.addresses, pod.port, pod.networks) == ("n1", ("10.244.0.1", "fd44::1"), 9000, "[]")
    assert (pod.ready, pod.ready_since - pod.created, pod.terminating, pod.ended) == (True, 7.0, False, False)
    body["metadata"] |= {"deletionTimestamp": "2026-11-25T00:01:00Z"}
    assert PODS.read(json.dumps(body).encode()).terminating
    bare = PODS.read(b'{"metadata": {"name": "one", "namespace": "shop"}}')
    assert (bare.node, bare.addresses, bare.ready, bare.port, bare.created) == ("", (), False, 0, 0.0)


def test_of_a_service_the_annotation_is_kept_and_a_long_one_only_so_far_that_it_is_seen_to_be_nonsense() -> None:
    body: dict[str, Any] = {
        "metadata": {**META, "annotations": {"netmatrix.io/probe": "http:/" + "x" * 9000, "other": "y" * 9000}},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.9",
            "clusterIPs": ["10.96.0.9", "fd96::9"],
            "ports": [{"name": "web", "port": 80, "nodePort": 30080, "targetPort": "http", "appProtocol": "http"}],
            "externalTrafficPolicy": "Local",
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7", "ports": []}, {"hostname": "x"}]}},
    }
    service = SERVICES.read(json.dumps(body).encode())
    assert len(service.probe) == MAX_ANNOTATION
    assert service.ports == (ServicePort(80, "web", "TCP", "http", 30080),)
    assert (service.addresses, service.balancers, service.local) == (("10.96.0.9", "fd96::9"), ("198.51.100.7",), True)
    headless = body | {"spec": {"clusterIPs": ["None"]}, "status": {"loadBalancer": {}}}
    assert SERVICES.read(json.dumps(headless).encode()).addresses == ()


OWNING = "dns.operator.openshift.io/owning-dns"


@pytest.mark.parametrize(
    ("namespace", "name", "labels", "asked"),
    [
        ("kube-system", "kube-dns", {"k8s-app": "kube-dns"}, True),
        ("kube-system", "rke2-coredns", {"k8s-app": "kube-dns"}, True),
        ("openshift-dns", "dns-default", {OWNING: "default"}, True),
        ("openshift-dns", "dns-edge", {OWNING: "edge"}, True),
        ("openshift-dns", "metrics", {}, False),
        ("shop", "mine", {"k8s-app": "kube-dns"}, False),
        ("shop", "mine", {OWNING: "default"}, False),
        ("kube-system", "other", {"k8s-app": "other"}, False),
    ],
)
def test_the_name_servers_of_kubernetes_and_openshift_are_known_by_their_labels_and_nobody_elses(
    namespace: str, name: str, labels: dict[str, str], asked: bool
) -> None:
    meta = {"name": name, "namespace": namespace, "uid": "u1", "labels": labels}
    body = {"metadata": meta, "spec": {"clusterIPs": ["10.96.0.9"], "ports": [{"port": 53, "protocol": "UDP"}]}, "status": {}}
    assert SERVICES.read(json.dumps(body).encode()).dns is asked


def test_an_endpoint_is_ready_unless_it_says_that_it_is_not() -> None:
    said: list[dict[str, Any]] = [{"ready": True}, {"ready": False}, {"ready": None}, {}]
    body = {
        "metadata": {**META, "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "ports": [{"name": "main", "port": 8080}, {"name": None, "port": None, "protocol": None}],
        "endpoints": [
            {"addresses": [f"10.244.0.{i}", "10.9.9.9"], "conditions": conditions, "nodeName": None}
            for i, conditions in enumerate(said)
        ]
        + [{"addresses": ["10.244.0.9"], "nodeName": "n1", "targetRef": {"kind": "Pod", "name": "cart-0"}}]
        + [{"addresses": []}],
    }
    found = SLICES.read(json.dumps(body).encode())
    assert (found.service, found.family) == ("cart", "IPv4")
    assert [one.ready for one in found.endpoints] == [True, False, True, True, True]
    assert found.endpoints[-1] == Endpoint("10.244.0.9", ready=True, node="n1", pod="cart-0")
    assert found.ports == (SlicePort("main", 8080), SlicePort(None, None, None))
    empty = {"metadata": META, "addressType": "IPv4", "endpoints": None, "ports": None}
    assert SLICES.read(json.dumps(empty).encode()).endpoints == ()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"metadata": {}}',
        b'{"metadata": {"name": ""}}',
        b'{"metadata": {"name": "a\\nb"}}',
        b'{"metadata": {"name": "<b>"}}',
        b'{"metadata": {"name": "' + b"a" * 254 + b'"}}',
        b"\xff",
    ],
)
def test_what_is_no_object_of_the_api_is_refused_by_every_reader(text: bytes) -> None:
    for resource in RESOURCES:
        with pytest.raises((ValueError, UnicodeDecodeError)):
            resource.read(text)


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode))
def test_a_reader_refuses_or_keeps_and_does_nothing_else(text: bytes) -> None:
    for resource in RESOURCES:
        try:
            resource.read(text)
        except ValueError:
            continue


def test_all_that_is_followed_is_in_the_table_of_rights() -> None:
    for resource in RESOURCES:
        assert right(resource.group, resource.name, "list", "watch")


def of(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def test_survive_36_labels_that_are_longer_than_any_that_mean_something_leave_their_object_out() -> None:
    labels = {f"example.test/{number:06}": "x" * 60 for number in range(1000)}
    with pytest.raises(ValueError, match="labels of 79000 characters, more than 65536"):
        PODS.read(of({"metadata": {"name": "one", "labels": labels}}))
    with pytest.raises(ValueError, match="labels of 79000 characters"):
        SERVICES.read(of({"metadata": {"name": "one"}, "spec": {"selector": labels}}))


def test_survive_33_a_list_of_networks_that_is_too_long_is_cut_so_that_it_shows_as_nonsense() -> None:
    annotations = {"k8s.v1.cni.cncf.io/network-status": f"[{' ' * 100_000}]"}
    pod = PODS.read(of({"metadata": {"name": "one", "annotations": annotations}}))
    assert pod.networks == "[".ljust(MAX_NETWORKS_TEXT)
    assert MAX_NETWORKS_TEXT < 100_000


def test_survive_33_what_objects_said_once_is_not_remembered_where_it_is_long() -> None:
    """Whoever may change one pod may change it a thousand times."""
    kept = []
    tracemalloc.start()
    try:
        for number in range(400):
            labels = {f"example.test/{number}-{place}": "x" * 60 for place in range(500)}
            annotations = {"k8s.v1.cni.cncf.io/network-status": json.dumps([{"name": "a", "ips": [f"{number}" * 5000]}])}
            pod = PODS.read(of({"metadata": {"name": "one", "labels": labels, "annotations": annotations}}))
            assert checked(f"{number}" * 5000)[1] == "not an IP address"
            del pod, labels, annotations
            if number % 200 == 199:
                gc.collect()  # what errors leave in circles is not kept
                kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    before, after = kept  # the interpreter's table of names has grown by then, and never shrinks
    assert after - before < 4 * 2**20, "two hundred times eighty kilobytes went by"

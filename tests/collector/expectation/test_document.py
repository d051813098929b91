"""What people may declare, and the sentence that each mistake gets."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.document import BadFileError, parse
from collector.duration import Duration
from collector.expectation.document import Declared, Spec, declared

FULL = """
apiVersion: netmatrix.io/v1alpha1
kind: ReachabilityExpectation
metadata: {name: web-to-db, namespace: shop}
spec:
  description: checkout may reach postgres, nobody else may
  severity: critical
  owner: team-checkout
  controls: [pci-dss-v4/1.3.2]
  from:
  - pods: {namespaceSelector: {matchLabels: {team: checkout}}, podSelector: {matchLabels: {app: api}}}
  to:
  - pods: {podSelector: {matchLabels: {app: postgres}}}
  ports: [{protocol: TCP, port: 5432}]
  expect: allow
  family: [IPv4, IPv6]
  match: each
  grace: {afterChange: 60s, afterPodStart: 30s}
  confirm: {failures: 3, of: 5}
  slo: {loss: {max: 1%, window: 5m}, latency: {p95: 20ms, window: 5m}}
  enforcement: {denyOutcome: any}
  mute: {until: "2026-01-01T00:00:00Z", reason: migration}
"""
LEAST: dict[str, Any] = {
    "apiVersion": "netmatrix.io/v1alpha1",
    "kind": "ReachabilityExpectation",
    "metadata": {"name": "a", "namespace": "shop"},
    "spec": {"to": [{"pods": {}}], "expect": "allow"},
}


def with_spec(kind: str = "ReachabilityExpectation", **spec: Any) -> dict[str, Any]:
    document = deepcopy(LEAST) | {"kind": kind}
    document["spec"] |= {key.rstrip("_"): value for key, value in spec.items()}
    if kind != "ReachabilityExpectation":
        del document["metadata"]["namespace"]
    return document


def refused(document: dict[str, Any]) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        declared(document)
    return str(caught.value)


def test_the_published_example_is_taken_with_all_it_says() -> None:
    one = declared(yaml.safe_load(FULL))
    assert one.name == "shop/web-to-db"
    assert one.spec.severity == "critical"
    assert one.spec.slo is not None
    assert one.spec.slo.loss is not None
    assert one.spec.slo.latency is not None
    assert one.spec.slo.loss.ratio == pytest.approx(0.01)
    assert one.spec.slo.latency.quantiles == {0.95: Duration.parse("20ms")}
    assert one.spec.mute is not None
    assert one.spec.mute.until.year == 2026


def test_an_object_of_the_api_is_taken_with_its_status_and_all_of_its_metadata() -> None:
    document = deepcopy(LEAST)
    document["metadata"] |= {"uid": "u", "generation": 3, "resourceVersion": "7", "managedFields": [], "labels": None}
    document["status"] = {"conditions": []}
    assert declared(document).metadata.generation == 3


def test_what_is_left_out_has_a_default() -> None:
    spec = declared(LEAST).spec
    assert (spec.severity, spec.match, spec.confirm.failures, spec.confirm.of) == ("warning", "each", 3, 5)
    assert (spec.grace.after_change, spec.grace.after_pod_start) == (Duration.parse("60s"), Duration.parse("30s"))
    assert not spec.sources
    assert spec.enforcement.deny_outcome == "any"


def test_a_document_without_a_namespace_is_of_the_one_that_kubectl_takes() -> None:
    document = deepcopy(LEAST)
    del document["metadata"]["namespace"]
    assert declared(document).namespace == "default"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (LEAST | {"kind": "Expectation"}, "kind: Expectation is not allowed; allowed are "),
        (LEAST | {"apiVersion": "v1"}, "apiVersion: v1 is not allowed"),
        (LEAST | {"sepc": {}}, "sepc: unknown key"),
        (with_spec(exepct="deny"), "spec.exepct: unknown key; allowed are"),
        (with_spec(expect="maybe"), "spec.expect: maybe is not allowed; allowed are allow, deny, none"),
        (with_spec(to=[]), "spec.to: expected list of length >= 1"),
        (with_spec(to=[{}]), "spec.to[0]: needs exactly one of pods, nodes, cidr, host, workload, service"),
        (with_spec(to=[{"pods": {}, "service": {"name": "a"}}]), "spec.to[0]: needs exactly one of"),
        (with_spec(from_=[{"service": {"name": "a"}}]), "spec.from[0].service: unknown key"),
        (with_spec(to=[{"pods": {"podSelector": {"labels": {}}}}]), "spec.to[0].pods.podSelector.labels: unknown key"),
        (
            with_spec(to=[{"pods": {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}}]),
            "spec.to[0].pods.podSelector.matchExpressions[0].values: In needs a value or more",
        ),
        (with_spec(to=[{"nodes": {}}]), "spec.to[0].nodes: needs the kind ClusterReachabilityExpectation"),
        (with_spec(from_=[{"nodes": {}}]), "spec.from[0].nodes: needs the kind ClusterReachabilityExpectation"),
        (with_spec(to=[{"cidr": {"address": "203.0.113.7"}}]), "spec.to[0].cidr: needs the kind Cluster"),
        (with_spec(to=[{"host": {"name": "api.example.com"}}]), "spec.to[0].host: needs the kind Cluster"),
        (
            with_spec(from_=[{"workload": {"kind": "Deployment", "name": "a", "namespace": "pay"}}]),
            "spec.from[0].workload.namespace: pay is not the expectation's own namespace",
        ),
        (
            with_spec("ClusterReachabilityExpectation", to=[{"cidr": {"address": "10.0.0.0/24"}}]),
            "spec.to[0].cidr.address: 10.0.0.0/24 is 256 addresses, and an expectation is about one",
        ),
        (
            with_spec("ClusterReachabilityExpectation", to=[{"cidr": {"address": "127.0.0.1"}}]),
            "spec.to[0].cidr.address: 127.0.0.1 is never probed: loopback",
        ),
        (
            with_spec("ClusterReachabilityExpectation", to=[{"cidr": {"address": "::1/128"}}]),
            "spec.to[0].cidr.address: ::1 is never probed: loopback",
        ),
        (
            with_spec("ClusterReachabilityExpectation", to=[{"cidr": {"address": "10.0.0.300"}}]),
            "spec.to[0].cidr.address: 10.0.0.300 is not an IP address",
        ),
        (
            with_spec("ClusterReachabilityExpectation", to=[{"host": {"name": "localhost"}}]),
            "spec.to[0].host.name: localhost is never probed",
        ),
        (
            with_spec("ClusterReachabilityExpectation", to=[{"nodes": {}}], ports=[{"port": 22}]),
            "spec.ports[0].port: of a node's address only 8620",
        ),
        (
            with_spec("ClusterReachabilityExpectation", to=[{"service": {"name": "a"}}]),
            "spec.to[0].service.namespace: missing",
        ),
        (with_spec(ports=[{"port": 0}]), "spec.ports[0].port: expected int >= 1"),
        (with_spec(ports=[{"port": 90, "endPort": 80}]), "spec.ports[0]: endPort needs a port"),
        (with_spec(ports=[{"port": "web", "endPort": 80}]), "spec.ports[0]: endPort needs a port"),
        (with_spec(ports=[{"protocol": "ICMP", "port": 80}]), "spec.ports[0]: ICMP has no ports"),
        (with_spec(ports=[{"protocol": "DNS"}]), "spec.ports[0]: protocol DNS needs a name to ask for"),
        (with_spec(ports=[{"protocol": "TCP", "path": "/"}]), "spec.ports[0]: path and status are for protocol HTTP"),
        (with_spec(ports=[{"protocol": "HTTP", "status": "good"}]), "spec.ports[0].status: good has characters or a form"),
        (with_spec(ports=[{"port": 80 + n, "endPort": 90 + n} for n in range(9)]), "spec.ports: 18 ports, more than 16"),
        (with_spec(grace={"afterChange": "2h"}), "spec.grace: a grace is 0s to 1h"),
        (with_spec(grace={"afterChange": 60}), "spec.grace.afterChange: expected a duration"),
        (with_spec(confirm={"failures": 6, "of": 5}), "spec.confirm: failures is more than of"),
        (with_spec(slo={"loss": {"max": "0.01"}}), "spec.slo.loss.max: 0.01 has characters or a form"),
        (with_spec(slo={"loss": {"max": "101%"}}), "spec.slo.loss: max is more than 100%"),
        (with_spec(slo={"latency": {}}), "spec.slo.latency: latency needs one of p50, p95, p99"),
        (with_spec(mute={"until": "2026-01-01T00:00:00", "reason": "a"}), "spec.mute.until: expected datetime with a timezone"),
        (with_spec(mute={"until": "2026-01-01T00:00:00Z"}), "spec.mute.reason: missing"),
        (with_spec(family=["IPv4", "IPv4"]), "spec.family: names one twice"),
        (with_spec(owner="a\nb"), "spec.owner: "),
    ],
)
def test_each_mistake_gets_its_sentence(document: dict[str, Any], sentence: str) -> None:
    said = refused(document)
    assert sentence in said
    assert "\n" not in said


def test_a_cluster_scoped_one_may_name_nodes_addresses_hosts_and_every_namespace() -> None:
    one = declared(
        with_spec(
            "ClusterReachabilityExpectation",
            from_=[{"nodes": {}}, {"pods": {"namespaceSelector": {}}}],
            to=[
                {"cidr": {"address": "203.0.113.7/32"}},
                {"host": {"name": "api.example.com"}},
                {"nodes": {"selector": {"matchLabels": {"role": "db"}}}},
            ],
            ports=[{"port": 8620}, {"protocol": "ICMP"}],
        )
    )
    assert one.name == "a"
    assert one.spec.to[0].cidr is not None
    assert one.spec.to[0].cidr.alone == "203.0.113.7"


def test_a_cluster_scoped_one_has_no_namespace() -> None:
    document = with_spec("ClusterReachabilityExpectation")
    document["metadata"]["namespace"] = "shop"
    assert refused(document) == "metadata.namespace: a ClusterReachabilityExpectation has none"


def test_a_range_of_ports_is_asked_at_its_ends() -> None:
    (port,) = declared(with_spec(ports=[{"port": 8000, "endPort": 8999}])).spec.ports
    assert list(port.sampled) == [8000, 8999]


def test_a_list_in_a_file_is_refused_with_the_place_in_it() -> None:
    text = yaml.safe_dump([LEAST, with_spec(to=[{"nodes": {}}])])
    with pytest.raises(BadFileError, match=r"^e\.yaml: \[1\]: spec\.to\[0\]\.nodes: needs the kind"):
        parse(text, tuple[Declared, ...], name="e.yaml")


PAGE = (Path(__file__).parents[3] / "docs" / "expectations.md").read_text()


def test_every_declaration_that_the_page_shows_is_taken() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    documents = [document for block in blocks for document in yaml.safe_load_all(block)]
    assert len({declared(document).name for document in documents}) == 4


def test_the_page_has_every_key() -> None:
    keys = {field.encode_name for field in structs.fields(Spec)}
    assert {key for key in keys if not re.search(rf"`spec\.{key}\b", PAGE)} == set()


words = st.sampled_from(
    ["kind", "metadata", "spec", "to", "from", "pods", "ports", "port", "cidr", "expect", "allow", "x", "1%"]
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(
    spec=st.dictionaries(st.sampled_from([*sorted(LEAST["spec"]), "from", "ports", "slo", "grace", "mute"]), junk), whole=junk
)
def test_whatever_is_declared_is_taken_or_refused_in_one_line(spec: dict[str, Any], whole: Any) -> None:
    for document in ({**LEAST, "spec": {**LEAST["spec"], **spec}}, whole):
        try:
            declared(document)
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017 - whether it is raised is what is tried

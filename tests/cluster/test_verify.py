"""What `netmatrix verify --manifests` says of manifests is what the real API server and the real kubectl say of them."""

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.cli import main
from collector.discovery.manifests import manifested
from collector.manifest import manifests
from collector.policy.document import policy_of
from collector.policy.refused import refused_by_api
from tests.cluster.kubectl import Kubectl
from tests.collector.cli.verify.shop import CLOSED, DECLARED, NAMESPACES, OPENED, WORKLOADS

LONG = "a" * 64
IN = "{matchExpressions: [{key: a, operator: %s}]}"
RULE = "{ingress: [{from: [%s]}]}"
PORTS = "{ingress: [{ports: [%s]}]}"
SPECS = (
    "{}",
    "{podSelector: {}}",
    "{podSelector: {matchLabels: {a: b}}, policyTypes: [Ingress, Egress]}",
    "{podSelector: {matchLabels: {a: ''}}}",
    "{podSelector: {matchLabels: {example.test/a: b}}}",
    "{podSelector: {matchLabels: {'a b': c}}}",
    "{podSelector: {matchLabels: {a: 'b c'}}}",
    "{podSelector: {matchLabels: {Example.test/a: b}}}",
    "{podSelector: {matchLabels: {a/b/c: d}}}",
    f"{{podSelector: {{matchLabels: {{a: {LONG}}}}}}}",
    f"{{podSelector: {{matchLabels: {{{LONG}: a}}}}}}",
    f"{{podSelector: {IN % 'Exists'}}}",
    f"{{podSelector: {IN % 'In'}}}",
    f"{{podSelector: {IN % 'NotIn'}}}",
    f"{{podSelector: {IN % 'Is'}}}",
    "{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
    "{podSelector: {matchExpressions: [{key: a, operator: In, values: ['b c']}]}}",
    "{policyTypes: [Ingress, Egress, Ingress]}",
    "{policyTypes: [ingress]}",
    "{policyTypes: []}",
    "{ingress: null, egress: []}",
    "{ingress: [{}]}",
    "{ingres: [{}]}",
    "{ingress: [{form: []}]}",
    RULE % "{}",
    RULE % "{podSelector: {}}",
    RULE % "{namespaceSelector: {}, podSelector: {}}",
    RULE % "{namespaceSelector: {matchLabels: {'a b': c}}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/8, except: ['fd00::/64']}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.1]}}",
    RULE % "{ipBlock: {cidr: 10.0.0.1}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/33}}",
    RULE % "{ipBlock: {cidr: 10.0.0.300/8}}",
    RULE % "{ipBlock: {cidr: 'fd00::/64', except: ['fd00::/80']}}",
    RULE % "{ipBlock: {}}",
    RULE % "{ipBlock: {cidr: 10.0.0.0/8, expect: [10.1.0.0/16]}}",
    PORTS % "{}",
    PORTS % "{port: 80}",
    PORTS % "{port: 0}",
    PORTS % "{port: 65536}",
    PORTS % "{port: -1}",
    PORTS % "{port: web}",
    PORTS % "{port: WEB}",
    PORTS % "{port: a--b}",
    PORTS % "{port: '80'}",
    PORTS % "{port: a-name-that-is-too-long}",
    PORTS % "{port: 80, endPort: 90}",
    PORTS % "{port: 80, endPort: 79}",
    PORTS % "{port: web, endPort: 90}",
    PORTS % "{endPort: 90}",
    PORTS % "{port: 80, endPort: 70000}",
    PORTS % "{protocol: SCTP, port: 80}",
    PORTS % "{protocol: tcp, port: 80}",
    PORTS % "{protocol: ICMP}",
    PORTS % "{port: 80.5}",
    PORTS % "{port: true}",
    "{ingress: {}}",
    "{ingress: [[]]}",
    "[]",
)
NAMES = ("ok", "a.b", "Upper", "under_score", "-a", "a" * 254, "")


def document(spec: str, name: str = "p") -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": yaml.safe_load(spec),
    }


def refused_by_us(one: dict[str, Any]) -> str:
    try:
        policy_of(one)
    except ValueError as error:
        return str(error)
    return next((f"{path}: {sentence}" for path, sentence in refused_by_api(one)), "")


def refused_there(kubectl: Kubectl, one: dict[str, Any]) -> str:
    try:
        kubectl.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", given=json.dumps(one))
    except RuntimeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("spec", SPECS)
def test_we_refuse_the_policies_that_the_api_server_refuses_and_no_others(spec: str, kubectl: Kubectl) -> None:
    one = document(spec)
    assert bool(refused_by_us(one)) is bool(there := refused_there(kubectl, one)), (refused_by_us(one), there)


@pytest.mark.parametrize("name", NAMES)
def test_we_refuse_the_names_that_it_refuses(name: str, kubectl: Kubectl) -> None:
    one = document("{}", name)
    assert bool(refused_by_us(one)) is bool(refused_there(kubectl, one))


def test_what_kubectl_renders_and_gets_is_read_as_what_was_written(tmp_path: Path, kubectl: Kubectl) -> None:
    """The same cluster from three texts: as people write it, as kustomize renders it, and as `kubectl get -o yaml` shows it."""
    network = IPv4Network("10.244.0.0/16")
    written = NAMESPACES + "---" + WORKLOADS + "---" + OPENED
    folder = tmp_path / "kustomize"
    folder.mkdir()
    (folder / "shop.yaml").write_text(written)
    (folder / "kustomization.yaml").write_text("resources: [shop.yaml]\n")
    kubectl.run("apply", "-f", "-", given=NAMESPACES)
    kubectl.run("apply", "-f", "-", given=written)
    wanted = "deployments,statefulsets,services,networkpolicies"
    got = "---\n".join(
        kubectl.run("get", what, "-n", space, "-o", "yaml") for space in ("shop", "pay") for what in wanted.split(",")
    )
    got += "---\n" + kubectl.run("get", "namespaces", "shop", "pay", "-o", "yaml")
    first, *others = (manifested(manifests(text, file="a.yaml"), network) for text in (written, kubectl.render(folder), got))
    assert first.refused == []
    for other in others:
        assert other.refused == []
        assert {str(pod): (pod.labels, pod.ports) for pod in other.pods} == {
            str(pod): (pod.labels, pod.ports) for pod in first.pods
        }
        assert other.policies == first.policies
        assert {str(one): [(str(b.pod), b.target_port) for b in one.backings] for one in other.services} == {
            str(one): [(str(b.pod), b.target_port) for b in one.backings] for one in first.services
        }


def test_verify_judges_what_kubectl_rendered(tmp_path: Path, kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    folder, rendered = tmp_path / "kustomize", tmp_path / "rendered"
    folder.mkdir()
    rendered.mkdir()
    (folder / "kustomization.yaml").write_text("resources: [shop.yaml]\n")
    for policy, status in ((OPENED, 0), (CLOSED, 1)):
        (folder / "shop.yaml").write_text(f"{NAMESPACES}---{WORKLOADS}---{policy}---{DECLARED}")
        (rendered / "all.yaml").write_text(kubectl.render(folder))
        assert main(["verify", "--manifests", str(rendered), "-o", "json"]) == status
        assert len(json.loads(capsys.readouterr().out)["lines"]) == 3


def test_our_own_manifests_are_read_whole(kubectl: Kubectl) -> None:
    root = Path(__file__).parents[2] / "manifests"
    for folder in (root / "base", root / "overlays" / "small"):
        found = manifested(manifests(kubectl.render(folder), file="base.yaml"), IPv4Network("10.244.0.0/16"))
        assert found.refused == []
        assert {"netmatrix"} <= set(found.namespaces)
        assert found.policies
        assert any(service.backings for service in found.services)

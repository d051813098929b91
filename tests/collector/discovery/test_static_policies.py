import pytest

from collector.discovery.snapshot import Namespace, Pod, PodPort
from collector.discovery.static import parse_inventory
from collector.document import BadFileError
from collector.policy.rules import Direction

GOOD = """
profile: calico
namespaces:
  - {name: shop, labels: {team: checkout}, annotations: {opencontrail.org/isolation: "true"}}
pods:
  - {namespace: shop, name: db-0, addresses: ["FD31::9"], labels: {app: db}, ports: [{port: 5432, name: sql}]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: closed, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: db}}
      ingress:
        - from:
            - podSelector: {}
              namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [checkout]}]}
            - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
          ports: [{port: 5432, endPort: 5440}]
  - apiVersion: policy.networking.k8s.io/v1alpha2
    kind: ClusterNetworkPolicy
    metadata: {name: admin}
    spec: {tier: Admin, priority: 3, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: other, namespace: shop}
    spec: {endpointSelector: {}}
expectations:
  - apiVersion: netmatrix.io/v1alpha1
    kind: ReachabilityExpectation
    metadata: {name: web-to-db, namespace: shop}
    spec: {to: [{pods: {podSelector: {matchLabels: {app: db}}}}], ports: [{port: 5432}], expect: allow}
"""

REFUSED = [
    ("profile: calico", "profile: none-such", "profile: none-such is not allowed; allowed are generic, strict, "),
    ("name: shop, labels", "name: shop, label", "namespaces[0].label: unknown key; allowed are annotations, labels, name"),
    ("team: checkout}, ann", "team: 1}, ann", "namespaces[0].labels[...]: expected str, got int"),
    ('"FD31::9"', "10.0.0.300", "pods[0].addresses[0]: 10.0.0.300 is not an IP address"),
    ("port: 5432, name", "port: 0, name", "pods[0].ports[0].port: expected int >= 1"),
    ("kind: NetworkPolicy", "kynd: NetworkPolicy", "policies[0].kind: missing"),
    ("{name: closed, namespace: shop}", "{namespace: shop}", "policies[0].metadata.name: missing"),
    ("      ingress:\n", "      ingres:\n", "policies[0].spec.ingres: unknown key; allowed are egress, ingress, podSelector, "),
    (
        "operator: In",
        "operator: Is",
        "policies[0].spec.ingress[0].from[0].namespaceSelector.matchExpressions[0].operator: Is is",
    ),
    ("10.0.0.0/8", "10.0.0.0/33", "policies[0].spec.ingress[0].from[1].ipBlock: '10.0.0.0/33' is not a CIDR"),
    ("port: 5432, endPort", "port: 70000, endPort", "policies[0].spec.ingress[0].ports[0].port: expected int <= 65535"),
    ("priority: 3", "priority: 1001", "policies[1].spec.priority: expected int <= 1000"),
    ("expect: allow", "expect: alow", "expectations[0].spec.expect: alow is not allowed; allowed are allow, deny, none"),
    ("to: [{pods", "too: [{pods", "expectations[0].spec.too: unknown key; allowed are "),
    ("tier: Admin", "tier: Adm", "policies[1].spec.tier: Adm is not allowed; allowed are Admin, Baseline"),
]


def test_an_inventory_has_namespaces_pods_and_policies() -> None:
    snapshot = parse_inventory(GOOD, name="i")
    assert snapshot.namespaces == (
        Namespace("shop", {"team": "checkout", "kubernetes.io/metadata.name": "shop"}, {"opencontrail.org/isolation": "true"}),
    )
    assert snapshot.pods == (Pod("shop", "db-0", ("fd31::9",), labels={"app": "db"}, ports=(PodPort(5432, name="sql"),)),)
    assert [str(policy) for policy in snapshot.policies] == ["NetworkPolicy shop/closed", "ClusterNetworkPolicy admin"]
    assert set(snapshot.policies[0].rules) == {Direction.INGRESS}
    assert [str(one) for one in snapshot.opaque] == ["CiliumNetworkPolicy shop/other"]
    assert [one.name for one in snapshot.expectations] == ["shop/web-to-db"]
    assert (snapshot.profile, snapshot.policies_read) == ("calico", True)


@pytest.mark.parametrize(("old", "replacement", "sentence"), REFUSED)
def test_a_bad_policy_gets_one_sentence_with_its_place_and_field(old: str, replacement: str, sentence: str) -> None:
    text = GOOD.replace(old, replacement, 1)
    assert text != GOOD
    with pytest.raises(BadFileError) as refusal:
        parse_inventory(text, name="inventory.yaml")
    assert str(refusal.value).startswith(f"inventory.yaml: {sentence}")
    assert "\n" not in str(refusal.value)

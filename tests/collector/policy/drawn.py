"""Policies and pods drawn at random, from few enough words that they have something to do with each other."""

from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

from collector.policy.cluster_network_policy import cluster_network_policy
from collector.policy.ends import ContainerPort, Namespace, Pod
from collector.policy.labels import namespace_labels
from collector.policy.network_policy import network_policy
from collector.policy.rules import Opaque, PodPeer

names, values = st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"])
labels = st.dictionaries(names, values, max_size=2)
expressions = st.one_of(
    st.fixed_dictionaries({"key": names, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(values, max_size=2)}),
    st.fixed_dictionaries({"key": names, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
selectors = st.fixed_dictionaries({}, optional={"matchLabels": labels, "matchExpressions": st.lists(expressions, max_size=1)})
blocks = st.sampled_from(["10.0.0.0/8", "10.0.0.0/30", "10.0.0.2/32", "0.0.0.0/0", "fd00::/127", "::/0"])
peers = st.one_of(
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": selectors}, optional={"podSelector": selectors}),
    blocks.map(
        lambda cidr: {
            "ipBlock": {"cidr": cidr, "except": [str(next(ip_network(cidr).subnets())) if cidr[-3:] != "/32" else cidr]}
        }
    ),
    blocks.map(lambda cidr: {"ipBlock": {"cidr": cidr}}),
)
ports = st.fixed_dictionaries(
    {}, optional={"protocol": st.sampled_from(["TCP", "UDP"]), "port": st.sampled_from([80, 53, "web", "dns"])}
)
spaces = st.sampled_from(["x", "y", "z"])


def rules_of(word: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        st.fixed_dictionaries({}, optional={word: st.lists(peers, max_size=2), "ports": st.lists(ports, max_size=2)}),
        max_size=2,
    )


network_policies = st.builds(
    lambda space, spec: network_policy({"metadata": {"name": "p", "namespace": space}, "spec": spec}),
    spaces,
    st.fixed_dictionaries(
        {"podSelector": selectors},
        optional={
            "policyTypes": st.lists(st.sampled_from(["Ingress", "Egress"]), min_size=1, max_size=2),
            "ingress": rules_of("from"),
            "egress": rules_of("to"),
        },
    ),
)
ends = st.one_of(
    st.fixed_dictionaries({"namespaces": selectors}),
    st.fixed_dictionaries({"pods": st.fixed_dictionaries({"namespaceSelector": selectors, "podSelector": selectors})}),
)
protocols = st.sampled_from(
    [
        {"tcp": {"destinationPort": {"number": 80}}},
        {"tcp": {"destinationPort": {"range": {"start": 1, "end": 99}}}},
        {"udp": {}},
        {"destinationNamedPort": "web"},
    ]
)


def ranked_rules(word: str, peer: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    actions = st.sampled_from(["Accept", "Deny", "Pass"])
    one = st.fixed_dictionaries(
        {"action": actions, word: st.lists(peer, min_size=1, max_size=2)},
        optional={"protocols": st.lists(protocols, min_size=1, max_size=2)},
    )
    return st.lists(one, max_size=2)


cluster_policies = st.builds(
    lambda name, spec: cluster_network_policy({"metadata": {"name": name}, "spec": spec}),
    names,
    st.fixed_dictionaries(
        {"tier": st.sampled_from(["Admin", "Baseline"]), "priority": st.integers(0, 2), "subject": ends},
        optional={
            "ingress": ranked_rules("from", ends),
            "egress": ranked_rules("to", ends | blocks.map(lambda cidr: {"networks": [cidr]})),
        },
    ),
)
opaque = st.builds(lambda space: Opaque("CiliumNetworkPolicy", "l7", space, (PodPeer(namespace=space),)), spaces)
container_ports = st.sampled_from(
    [ContainerPort(80, "TCP", "web"), ContainerPort(53, "UDP", "dns"), ContainerPort(53, "TCP", "web")]
)
annotations = st.sampled_from([{}, {}, {"opencontrail.org/isolation": "true"}, {"opencontrail.org/network": "n"}])


@st.composite
def pods_of_a_cluster(draw: st.DrawFn) -> list[Pod]:
    found = {name: Namespace(name, namespace_labels(name, draw(labels)), draw(annotations)) for name in ("x", "y", "z")}
    return [
        Pod(
            namespace=found[draw(spaces)],
            name=f"p{place}",
            labels=draw(labels),
            addresses=(f"10.0.0.{place + 1}", f"fd00::{place + 1}"),
            ports=tuple(draw(st.lists(container_ports, min_size=1, max_size=2))),
        )
        for place in range(draw(st.integers(1, 6)))
    ]

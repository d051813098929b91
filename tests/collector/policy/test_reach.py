"""All pairs at once are what each pair is alone."""

from ipaddress import ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.policy.cluster_network_policy import cluster_network_policy
from collector.policy.ends import Connection, ContainerPort, Namespace, Pod
from collector.policy.evaluate import Policies
from collector.policy.labels import namespace_labels
from collector.policy.network_policy import network_policy
from collector.policy.profile import PROFILES
from collector.policy.reach import ANSWERS, Reach
from collector.policy.rules import Opaque, PodPeer
from tests.collector.policy.cluster import STRICT, XA, XB, YA, YB, pod, read
from wire.path import Family

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
opaque = st.builds(lambda space: Opaque("CiliumNetworkPolicy", "l7", space, PodPeer(namespace=space)), spaces)
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


@settings(deadline=None)
@given(
    pods=pods_of_a_cluster(),
    policies=st.lists(network_policies | cluster_policies, max_size=5),
    hidden=st.lists(opaque, max_size=1),
    profile=st.sampled_from(sorted(PROFILES)),
    family=st.sampled_from(Family),
)
def test_every_pair_of_pods_gets_the_answer_of_its_classes(
    pods: list[Pod], policies: list[Any], hidden: list[Opaque], profile: str, family: Family
) -> None:
    known = Policies(policies, hidden, PROFILES[profile])
    reach = Reach(known, pods, family)
    for place, (of, port) in enumerate(reach.points):
        for target, target_class in zip(reach.pods, reach.class_of, strict=True):
            for source, source_class in zip(reach.pods, reach.class_of, strict=True):
                if target_class == of and source != target:
                    decision = known.decide(source, target, Connection(port.protocol, port.port, family))
                    assert ANSWERS[reach.codes[source_class, place]] is decision.answer, (source, target, port, decision)


def test_pods_that_no_policy_tells_apart_are_one_class() -> None:
    twins = [pod(f"x/t{place}", f"10.0.9.{place}", labels={"app": "t"}) for place in range(5)]
    reach = Reach(Policies([], profile=STRICT), [XA, *twins])
    assert reach.class_of == [0, 1, 1, 1, 1, 1]
    split = "{netpol: y/p, spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.9.0/31}}]}]}}"
    assert Reach(Policies(read(split), profile=STRICT), [XA, *twins]).class_of == [0, 1, 1, 2, 2, 2]


def test_pods_without_an_address_of_the_family_or_on_the_host_network_take_no_part() -> None:
    others = [pod("x/four", "10.0.9.1"), pod("x/host", "192.168.0.2", "fd00::9:2", node="n2", host_network=True)]
    reach = Reach(Policies([], profile=STRICT), [XA, XB, YA, YB, *others], Family.IPV6)
    assert [str(one) for one in reach.pods] == ["x/a", "x/b", "y/a", "y/b"]

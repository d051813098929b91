"""A cluster of namespaces x and y with pods a and b in each, to write policies for."""

from collections.abc import Mapping
from typing import Any

import yaml

from collector.policy.cluster_network_policy import cluster_network_policy
from collector.policy.ends import Connection, ContainerPort, End, Host, Namespace, Node, Pod
from collector.policy.evaluate import Answer, Decision, Policies
from collector.policy.labels import namespace_labels
from collector.policy.network_policy import network_policy
from collector.policy.profile import PROFILES, Profile
from collector.policy.rules import Opaque, Policy
from wire.path import Family

STRICT = PROFILES["strict"]
PORTS = (ContainerPort(80, "TCP", "web"), ContainerPort(53, "UDP", "dns"))


def namespace(name: str, annotations: Mapping[str, str] | None = None, **labels: str) -> Namespace:
    return Namespace(name, namespace_labels(name, labels), annotations or {})


def pod(name: str, *addresses: str, home: Namespace | None = None, **more: Any) -> Pod:
    """`pod("x/a", "10.0.0.1")` has the label pod=a and the ports web and dns."""
    space, _, own = name.partition("/")
    fields = {"labels": {"pod": own}, "ports": PORTS, **more}
    return Pod(namespace=home or namespace(space), name=own, addresses=addresses, **fields)


XA = pod("x/a", "10.0.1.1", "fd00::1:1", node="n1")
XB = pod("x/b", "10.0.1.2", "fd00::1:2", node="n2")
YA = pod("y/a", "10.0.2.1", "fd00::2:1", node="n1")
YB = pod("y/b", "10.0.2.2", "fd00::2:2", node="n2")
N1 = Node("n1", ("192.168.0.1",), {"role": "worker"})
N2 = Node("n2", ("192.168.0.2",), {"role": "control"})
WORLD = Host(("203.0.113.7",))
WEB = Connection("TCP", 80)
DNS = Connection("UDP", 53)
PING = Connection("ICMP")
WEB6 = Connection("TCP", 80, Family.IPV6)


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def read(text: str) -> list[Policy]:
    """Policies in YAML; `netpol: x/NAME` and `cnp: NAME` with a spec are short for the whole object."""
    policies = []
    for document in documents(text):
        if "netpol" in document:
            space, _, name = document["netpol"].partition("/")
            policies.append(
                network_policy({"metadata": {"name": name, "namespace": space}, "spec": document.get("spec") or {}})
            )
        else:
            policies.append(cluster_network_policy({"metadata": {"name": document["cnp"]}, "spec": document["spec"]}))
    return policies


class Cluster:
    """Policies in force; `answer` is what they say."""

    def __init__(self, text: str, profile: Profile = STRICT, opaque: tuple[Opaque, ...] = ()) -> None:
        self.policies = Policies(read(text), opaque, profile)

    def decide(self, source: End, target: End, connection: Connection = WEB) -> Decision:
        return self.policies.decide(source, target, connection)

    def answer(self, source: End, target: End, connection: Connection = WEB) -> Answer:
        return self.decide(source, target, connection).answer

    def allows(self, source: End, target: End, connection: Connection = WEB) -> bool:
        """What is said without a doubt; a doubt fails the test."""
        answer = self.answer(source, target, connection)
        assert answer in {Answer.ALLOW, Answer.DENY}
        return answer is Answer.ALLOW

"""What the lab makes of policies, on real packets: who reaches whom over TCP, UDP and ICMP."""

import os
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from lab import enforcement, namespaces, network
from lab.namespaces import call_inside
from lab.policies import parse
from lab.roles import ECHO_PORT, Role
from lab.shape import Cni, Shape
from lab.topology import Pod, Topology
from wire.path import Family

from .conftest import Ping

SHAPE = Shape(
    nodes=3,
    zones=1,
    namespaces=("shop", "pay", "ops"),
    external=False,
    labels={"shop": {"team": "checkout"}, "pay": {"team": "money"}, "shop/vantage": {"app": "api"}, "pay/web": {"tier": "db"}},
)
TOPOLOGY = Topology.of(SHAPE, f"t{os.getpid()}e")
PODS = {
    f"{pod.namespace}/{pod.name.removeprefix('vantage-')}": pod for pod in TOPOLOGY.pods if pod.namespace in SHAPE.namespaces
}
SHOP, PAY, OPS, DB = PODS["shop/shop"], PODS["pay/pay"], PODS["ops/ops"], PODS["pay/web-0"]
SENDERS = {"shop": SHOP, "pay": PAY, "ops": OPS, "web": PODS["shop/web-0"]}
PATIENCE = 0.3
WORDS = {None: "open", ConnectionRefusedError: "refused", TimeoutError: "timeout", OSError: "prohibited"}


def policy(namespace: str, spec: dict[str, Any], name: str = "p") -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, **spec},
    }


def tier(name: str, priority: int, **rules: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": f"{name}{priority}".lower()},
        "spec": {"tier": name, "priority": priority, "subject": {"namespaces": {"matchLabels": {"team": "money"}}}, **rules},
    }


TEAM = {"namespaceSelector": {"matchLabels": {"team": "checkout"}}}
API = {"podSelector": {"matchLabels": {"app": "api"}}}
ECHO = {"port": ECHO_PORT}
OPEN: dict[str, Any] = {"ingress": [{}]}

INGRESS: list[tuple[str, dict[str, Any], str]] = [
    ("without a policy all is open", policy("ops", {}), "shop pay ops web"),
    ("a policy without rules lets nobody in", policy("pay", {}), ""),
    ("null rules are none", policy("pay", {"ingress": None}), ""),
    ("an empty rule lets everybody in", policy("pay", OPEN), "shop pay ops web"),
    ("an empty from is everybody", policy("pay", {"ingress": [{"from": [], "ports": [ECHO]}]}), "shop pay ops web"),
    ("another port does not help", policy("pay", {"ingress": [{"ports": [{"port": 1}]}]}), ""),
    ("a missing protocol is TCP", policy("pay", {"ingress": [{"ports": [{}]}]}), "shop pay ops web"),
    ("UDP does not open TCP", policy("pay", {"ingress": [{"ports": [{"protocol": "UDP", **ECHO}]}]}), ""),
    ("a range has its port", policy("pay", {"ingress": [{"ports": [{"port": 8000, "endPort": 8620}]}]}), "shop pay ops web"),
    ("a range ends", policy("pay", {"ingress": [{"ports": [{"port": 8000, "endPort": 8619}]}]}), ""),
    ("a name is the receiver's", policy("pay", {"ingress": [{"ports": [{"port": "echo"}]}]}), "shop pay ops web"),
    ("a name of another protocol", policy("pay", {"ingress": [{"ports": [{"port": "echo", "protocol": "UDP"}]}]}), ""),
    ("a name that nobody has", policy("pay", {"ingress": [{"ports": [{"port": "nothing"}]}]}), ""),
    ("a selector of pods is of its own namespace", policy("pay", {"ingress": [{"from": [API]}]}), ""),
    ("a namespace by label", policy("pay", {"ingress": [{"from": [TEAM]}]}), "shop web"),
    ("both in one item", policy("pay", {"ingress": [{"from": [{**TEAM, **API}]}]}), "shop"),
    ("two items are either", policy("pay", {"ingress": [{"from": [TEAM, {"podSelector": {}}]}]}), "shop pay web"),
    (
        "an empty namespace selector is all",
        policy("pay", {"ingress": [{"from": [{"namespaceSelector": {}}]}]}),
        "shop pay ops web",
    ),
    (
        "a namespace by the name that the API server gives it",
        policy(
            "pay",
            {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}}]}]},
        ),
        "ops",
    ),
    (
        "NotIn holds where the key is absent",
        policy(
            "pay",
            {
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["checkout"]}]
                                }
                            }
                        ]
                    }
                ]
            },
        ),
        "pay ops",
    ),
    (
        "In needs the key",
        policy(
            "pay",
            {
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchExpressions": [{"key": "team", "operator": "In", "values": ["checkout", "x"]}]
                                }
                            }
                        ]
                    }
                ]
            },
        ),
        "shop web",
    ),
    (
        "a block without its exceptions",
        policy(
            "pay",
            {
                "ingress": [
                    {
                        "from": [
                            {"ipBlock": {"cidr": "10.30.7.9/16", "except": [f"{SHOP.addresses[Family.IPV4]}/32"]}},
                            {"ipBlock": {"cidr": "fd31::/16", "except": [f"{SHOP.addresses[Family.IPV6]}/128"]}},
                        ]
                    }
                ]
            },
        ),
        "pay ops web",
    ),
    ("egress alone isolates nothing here", policy("pay", {"policyTypes": ["Egress"]}), "shop pay ops web"),
    ("an empty egress isolates nothing", policy("shop", {"egress": [], "policyTypes": ["Ingress"]}), "shop pay ops web"),
    ("egress of the sender", policy("shop", {"policyTypes": ["Egress"]}), "pay ops"),
    (
        "a name on the way out is the receiver's",
        policy("shop", {"egress": [{"ports": [{"port": "echo"}]}]}),
        "shop pay ops web",
    ),
    ("only to others on the way out", policy("shop", {"egress": [{"to": [TEAM]}]}), "pay ops"),
    (
        "Admin denies first",
        tier("Admin", 1, ingress=[{"action": "Deny", "from": [{"namespaces": {"matchLabels": {"team": "checkout"}}}]}]),
        "pay ops",
    ),
    (
        "the first rule decides",
        tier(
            "Admin",
            1,
            ingress=[
                {
                    "action": "Accept",
                    "from": [{"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "api"}}}}],
                    "protocols": [{"tcp": {"destinationPort": {"number": ECHO_PORT}}}],
                },
                {"action": "Deny", "from": [{"namespaces": {}}]},
            ],
        ),
        "shop",
    ),
    (
        "Baseline denies where nobody else says anything",
        tier("Baseline", 0, ingress=[{"action": "Deny", "from": [{"namespaces": {}}], "protocols": [{"tcp": {}}]}]),
        "",
    ),
]


@pytest.fixture(scope="module")
def ground() -> Iterator[Topology]:
    """Pods that listen on the port of an agent, without any program."""
    with ExitStack() as stack:
        try:
            network.build(TOPOLOGY)
            for pod in PODS.values():
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    stack.enter_context(call_inside(pod.netns, lambda kind=kind: _listen(kind)))  # type: ignore[misc]
            yield TOPOLOGY
        finally:
            network.destroy(TOPOLOGY.lab)


@pytest.fixture
def enforce(ground: Topology) -> Iterator[Any]:
    def load(*documents: dict[str, Any], **cni: Any) -> None:
        object.__setattr__(ground.shape, "cni", Cni(**cni))
        for node in ground.nodes:
            namespaces.load_rules(node.netns, enforcement.policy_rules(ground, node, [parse(one) for one in documents]))

    yield load
    load()


def _listen(kind: socket.SocketKind) -> socket.socket:
    listener = socket.socket(socket.AF_INET6, kind)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", ECHO_PORT))
    if kind is socket.SOCK_STREAM:
        listener.listen(4096)  # nobody accepts
    return listener


def _connect(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), timeout=PATIENCE):
            return "open"
    except OSError as error:
        return next(word for kind, word in WORDS.items() if kind and isinstance(error, kind))


def tried(source: Pod, target: Pod, family: Family = Family.IPV4) -> str:
    return call_inside(source.netns, lambda: _connect(target.addresses[family], ECHO_PORT))


def reaching(target: Pod, family: Family) -> Sequence[str]:
    with ThreadPoolExecutor(len(SENDERS)) as workers:
        found = workers.map(lambda source: tried(source, target, family), SENDERS.values())
    return [name for name, word in zip(SENDERS, found, strict=True) if word == "open"]


@pytest.mark.lab
@pytest.mark.parametrize(("document", "senders"), [case[1:] for case in INGRESS], ids=[case[0] for case in INGRESS])
def test_who_reaches_a_pod_is_what_the_policy_says(enforce: Any, document: dict[str, Any], senders: str) -> None:
    enforce(document)
    for family in SHAPE.families:
        # A pod always reaches itself.
        assert reaching(PAY, family) == [name for name in SENDERS if name in {*senders.split(), "pay"}], family


@pytest.mark.lab
def test_what_is_allowed_adds_up_over_policies_and_both_directions_count(enforce: Any) -> None:
    enforce(policy("pay", {}, "deny"), policy("pay", {"ingress": [{"from": [TEAM]}]}, "allow"))
    assert reaching(PAY, Family.IPV4) == ["shop", "pay", "web"]
    enforce(policy("pay", OPEN, "in"), policy("shop", {"policyTypes": ["Egress"]}, "out"))
    assert reaching(PAY, Family.IPV4) == ["pay", "ops"]


@pytest.mark.lab
def test_admin_comes_before_policies_and_these_before_baseline(enforce: Any) -> None:
    everybody: list[dict[str, Any]] = [{"namespaces": {}}]
    deny = tier("Baseline", 1, ingress=[{"action": "Deny", "from": everybody}])
    enforce(policy("pay", {"ingress": [{"from": [TEAM]}]}), deny)
    assert reaching(PAY, Family.IPV4) == ["shop", "pay", "web"]
    enforce(policy("pay", {}), tier("Admin", 1, ingress=[{"action": "Accept", "from": everybody}]))
    assert reaching(PAY, Family.IPV4) == ["shop", "pay", "ops", "web"]
    passing = tier("Admin", 1, ingress=[{"action": "Pass", "from": everybody}])
    enforce(passing, tier("Admin", 2, ingress=[{"action": "Accept", "from": everybody}]), policy("pay", {}))
    assert reaching(PAY, Family.IPV4) == ["pay"]


@pytest.mark.lab
def test_replies_to_an_isolated_pod_pass(enforce: Any) -> None:
    enforce(policy("shop", {}), policy("pay", OPEN))
    assert tried(SHOP, PAY) == "open"


@pytest.mark.lab
@pytest.mark.parametrize(
    ("answer", "word"), [("drop", "timeout"), ("reject", "refused"), ("prohibit", "prohibited"), ("reset", "refused")]
)
def test_what_is_refused_is_answered_as_the_plugin_does(enforce: Any, answer: str, word: str) -> None:
    enforce(policy("pay", {}), answer=answer)
    assert tried(SHOP, PAY) == word


@pytest.mark.lab
@pytest.mark.parametrize(("established", "goes_on"), [("kept", True), ("cut", False)])
def test_an_established_connection_is_kept_or_cut(enforce: Any, established: str, *, goes_on: bool) -> None:
    enforce(established=established)
    target = call_inside(PAY.netns, lambda: socket.create_server(("", 9000)))
    source = call_inside(SHOP.netns, lambda: socket.create_connection((PAY.addresses[Family.IPV4], 9000), timeout=PATIENCE))
    with target, source, target.accept()[0] as there:
        there.settimeout(PATIENCE)
        enforce(policy("pay", {}), established=established)
        source.send(b"x")
        try:
            assert (there.recv(1) == b"x") == goes_on
        except TimeoutError:
            assert not goes_on


@pytest.mark.lab
def test_pings_pass_rules_without_ports_or_always(enforce: Any, ping: Ping) -> None:
    def pings() -> list[bool]:
        return [bool(ping(SHOP.netns, PAY.addresses[family], patience=PATIENCE)) for family in SHAPE.families]

    enforce(policy("pay", {}))
    assert pings() == [False, False]
    enforce(policy("pay", {"ingress": [{"from": [TEAM]}]}))
    assert pings() == [True, True]
    enforce(policy("pay", {"ingress": [{"ports": [ECHO]}]}))
    assert pings() == [False, False]
    enforce(policy("pay", {}), icmp="always")
    assert pings() == [True, True]


@pytest.mark.lab
def test_a_block_means_no_pods_where_the_plugin_says_so(enforce: Any) -> None:
    enforce(policy("pay", {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}), blocks_match_pods=False)
    assert reaching(PAY, Family.IPV4) == ["pay"]
    enforce(policy("pay", {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}))
    assert reaching(PAY, Family.IPV6) == ["pay"]
    assert reaching(PAY, Family.IPV4) == list(SENDERS)


@pytest.mark.lab
def test_a_node_reaches_its_own_pods_whatever_policies_say(enforce: Any) -> None:
    enforce(policy("pay", {}))
    node = TOPOLOGY.node[PAY.node]
    assert call_inside(node.netns, lambda: _connect(PAY.addresses[Family.IPV4], ECHO_PORT)) == "open"


def test_rules_are_only_for_pods_that_a_policy_selects() -> None:
    rules = {node.name: enforcement.policy_rules(TOPOLOGY, node, [parse(policy("pay", {}))]) for node in TOPOLOGY.nodes}
    isolated = {pod.node for pod in TOPOLOGY.pods if pod.namespace == "pay"}
    assert {name for name, text in rules.items() if "counter drop" in text} == isolated
    assert {pod.role for pod in PODS.values()} == {Role.VANTAGE, Role.BACKEND}

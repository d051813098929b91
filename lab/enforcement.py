"""What a CNI would make of policies: nftables rules of a node, which let pass or refuse what its pods send and receive.

In: the topology and the policies in force, and nothing else. Out: one table that replaces the last one in one transaction.
Each pod that a policy selects has a chain per direction and family: Admin tier, then the NetworkPolicies, then Baseline. What
passes one direction returns and meets the other one, since a connection needs both. What a node itself sends to its pods is
never forwarded, and so never refused.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from lab import namespaces
from lab.policies import (
    ClusterNetworkPolicy,
    ClusterPeer,
    Direction,
    Document,
    IpBlock,
    NetworkPolicy,
    Peer,
    Pods,
    Policy,
    Selector,
    parse,
)
from lab.policy_ports import Ports, ports_of
from lab.shape import Cni
from lab.topology import PODS, Node, Pod, Topology
from wire.path import Family

_IP = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_VERSION = {Family.IPV4: 4, Family.IPV6: 6}
_OTHER_END = {"ingress": "saddr", "egress": "daddr"}
_OWN_END = {"ingress": "daddr", "egress": "saddr"}
_REFUSE = {
    "drop": ("counter drop",),
    "reject": ("counter reject with icmpx type port-unreachable",),
    "prohibit": ("counter reject with icmpx type admin-prohibited",),
    "reset": ("meta l4proto tcp counter reject with tcp reset", "counter reject with icmpx type admin-prohibited"),
}
_DIRECTIONS: tuple[Direction, ...] = ("egress", "ingress")


def policy_rules(topology: Topology, node: Node, policies: Sequence[Policy]) -> str:
    """The table of one node."""
    chains = [chain for pod in topology.pods_on(node.name) for chain in _Guard(topology, pod, policies).chains()]
    lines = ["add table inet policies", "delete table inet policies", "table inet policies {"]
    lines += [f"chain {name} {{\n" + "\n".join(rules) + "\n}" for name, _, rules in chains]
    lines += ["chain forward {", "type filter hook forward priority filter + 10;", *_first(topology.shape.cni)]
    lines += [f"{jump} jump {name}" for name, jump, _ in chains if jump]
    return "\n".join([*lines, "}", "}\n"])


def load(topology: Topology, before: Sequence[Document], after: Sequence[Document]) -> None:
    """From nodes that enforce some policies to those that enforce others; no connection is forgotten.

    Raises RuntimeError with what nft said, ValueError where a document is no policy.
    """
    was, now = ([parse(document) for document in documents] for documents in (before, after))
    for node in topology.nodes:
        rules = policy_rules(topology, node, now)
        if rules != policy_rules(topology, node, was):
            namespaces.load_rules(node.netns, rules)


def _first(cni: Cni) -> Iterator[str]:
    """Replies pass, and errors about a connection; with `kept`, all else of a connection that was let in does too."""
    yield "ct state related accept"
    yield "ct state established accept" if cni.established == "kept" else "ct direction reply accept"
    if cni.icmp == "always":
        yield "icmp type { echo-request, echo-reply } accept"
        yield "icmpv6 type { echo-request, echo-reply } accept"


class _Guard:
    """All chains of one pod."""

    def __init__(self, topology: Topology, pod: Pod, policies: Sequence[Policy]) -> None:
        self._topology = topology
        self._pod = pod
        self._refuse = _REFUSE[topology.shape.cni.answer]
        self._own = [
            policy
            for policy in policies
            if isinstance(policy, NetworkPolicy)
            and (policy.metadata.namespace or "default") == pod.namespace
            and policy.spec.pod_selector.selects(pod.labels)
        ]
        above = [
            policy
            for policy in policies
            if isinstance(policy, ClusterNetworkPolicy)
            and self._is_among(pod, policy.spec.subject.namespaces, policy.spec.subject.pods)
        ]
        self._tiers = {
            tier: sorted((policy for policy in above if policy.spec.tier == tier), key=lambda policy: policy.spec.priority)
            for tier in ("Admin", "Baseline")
        }

    def chains(self) -> Iterator[tuple[str, str, list[str]]]:
        """Name, what goes there (nothing where only another chain does), and rules; those that others go to come first."""
        for family in self._topology.shape.families:
            for direction in _DIRECTIONS:
                yield from self._chains_of(direction, family)

    def _chains_of(self, direction: Direction, family: Family) -> Iterator[tuple[str, str, list[str]]]:
        isolating = [policy for policy in self._own if policy.spec.isolates(direction)]
        tiers = {
            tier: [rule for policy in found for rule in policy.spec.rules(direction)] for tier, found in self._tiers.items()
        }
        if not isolating and not any(tiers.values()):
            return
        name = f"{self._pod.interface}_{direction}_{family.value}"
        own, there = f"{_IP[family]} {_OWN_END[direction]}", f"{_IP[family]} {_OTHER_END[direction]}"
        address = self._pod.addresses[family]
        middle: list[str] = []
        for policy in isolating:
            for rule in policy.spec.rules(direction):
                ports = ports_of(rule.ports, self._receivers(direction), family)
                middle += self._matching(list(self._peers(rule.peers, direction, family)), ports, ("return",))
        if isolating:
            middle += self._refuse
        else:
            middle += self._tier(tiers["Baseline"], direction, family, passing="return")
        yield f"{name}_policies", "", middle
        first = self._tier(tiers["Admin"], direction, family, passing=f"goto {name}_policies")
        # A pod reaches itself through its service, as most CNIs have it.
        jump = f"{own} {address} {there} != {address}"
        yield name, jump, [*first, f"goto {name}_policies"]

    def _tier(self, rules: Sequence, direction: Direction, family: Family, *, passing: str) -> list[str]:  # type: ignore[type-arg]
        done = {"Accept": ("return",), "Deny": self._refuse, "Pass": (passing,)}
        lines: list[str] = []
        for rule in rules:
            peers = [match for peer in rule.peers for match in self._cluster_peer(peer, direction, family)]
            ports = ports_of(rule.protocols, self._receivers(direction), family)
            lines += self._matching(peers, ports, done[rule.action])
        return lines

    def _receivers(self, direction: Direction) -> Sequence[Pod]:
        return [self._pod] if direction == "ingress" else self._topology.pods

    def _matching(self, peers: Sequence[str], ports: Ports, actions: Sequence[str]) -> Iterator[str]:
        for peer in peers:
            for port in ports:
                for action in actions:
                    yield " ".join(word for word in (peer, port, action) if word)

    def _peers(self, peers: Sequence[Peer], direction: Direction, family: Family) -> Iterator[str]:
        if not peers:
            yield ""
        for peer in peers:
            if peer.ip_block is not None:
                yield from self._block(peer.ip_block, direction, family)
                continue
            among = [
                pod
                for pod in self._topology.pods
                if (
                    pod.namespace == self._pod.namespace
                    if peer.namespace_selector is None
                    else peer.namespace_selector.selects(self._topology.namespace_labels(pod.namespace))
                )
                and (peer.pod_selector is None or peer.pod_selector.selects(pod.labels))
            ]
            yield from _addresses(among, direction, family)

    def _cluster_peer(self, peer: ClusterPeer, direction: Direction, family: Family) -> Iterator[str]:
        for cidr in peer.networks:
            yield from _network(cidr, (), direction, family)
        if not peer.networks:
            among = [pod for pod in self._topology.pods if self._is_among(pod, peer.namespaces, peer.pods)]
            yield from _addresses(among, direction, family)

    def _is_among(self, pod: Pod, namespaces: Selector | None, pods: Pods | None) -> bool:
        labels = self._topology.namespace_labels(pod.namespace)
        if pods is not None:
            return pods.namespace_selector.selects(labels) and pods.pod_selector.selects(pod.labels)
        return namespaces is not None and namespaces.selects(labels)

    def _block(self, block: IpBlock, direction: Direction, family: Family) -> Iterator[str]:
        beside = () if self._topology.shape.cni.blocks_match_pods else (PODS[family],)
        yield from _network(block.cidr, (*block.exceptions, *beside), direction, family)


def _addresses(pods: Sequence[Pod], direction: Direction, family: Family) -> Iterator[str]:
    if pods:
        addresses = ", ".join(pod.addresses[family] for pod in pods)
        yield f"{_IP[family]} {_OTHER_END[direction]} {{ {addresses} }}"


def _network(cidr: str, beside: Sequence[str], direction: Direction, family: Family) -> Iterator[str]:
    """A block says nothing of the other family."""
    network = ip_network(cidr, strict=False)
    if network.version != _VERSION[family]:
        return
    there = f"{_IP[family]} {_OTHER_END[direction]}"
    holes = [ip_network(text, strict=False) for text in beside]
    yield " ".join([f"{there} {network}", *(f"{there} != {hole}" for hole in holes if hole.version == network.version)])

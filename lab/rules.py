"""nftables rules of a lab, as text: a function of the topology and the active faults, and of nothing else.

Every text replaces what was loaded before in one transaction, so that loading it is how a fault begins and how it is undone.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from lab.departure import serving
from lab.faults import RELAYED, BrokenDnat, Fault, Hit, Reject, Snat, hits
from lab.links import TUNNEL
from lab.roles import VXLAN_PORT
from lab.shape import DEFAULT_NETWORK, Fabric
from lab.topology import PODS, UNDERLAY, Node, Service, Topology
from wire.path import Family

SINK = {"in": "drop-in", "out": "drop-out"}
"""Where dropped packets are sent instead, by direction; whoever listens at the other end sees each of them."""
SEEN = {"in": "seen-in", "out": "seen-out"}
"""The other ends."""

_IP = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_MILLION = 1_000_000
_ETHERNET_BYTES = 14
_REJECTED = {"prohibited": "admin-prohibited", "unreachable": "host-unreachable"}
_NUMBERS = {"icmp": "1, 58", "udp": "17", "tcp": "6"}
_INNER_ETHERTYPE = (8 + 8 + 12) * 8
"""In bits behind the start of the outer UDP header: that, the VXLAN header and two MAC addresses. nft before 1.0.7 has no words
for what is in a tunnel."""
_INNER = (("0x0800", (8 + 8 + 14 + 9) * 8), ("0x86dd", (8 + 8 + 14 + 6) * 8))
"""Ethertype, and where the protocol of the inner packet stands."""
_NOWHERE = 251
"""Host number that no pod ever has."""


def relay_tap(node: Node) -> str:
    """Interface that a delayed node's packets pass through."""
    return f"slow-{node.port}"


def fabric_rules(topology: Topology, faults: Sequence[Fault]) -> str:
    """For the cables: what is dropped at each node's port of each network, and what goes through a relay.

    Named counters `n1_in`, `n1_out`, `n1_net1_in`, … keep their values when rules are loaded again.
    """
    found = [hit for fault in faults for hit in hits(fault, topology)]
    delayed = {node.name for fault in faults if isinstance(fault, RELAYED) for node, _, _ in fault.links(topology)}
    lines = ["add table netdev lab"]
    for network, node in product(topology.shape.networks, topology.nodes):
        device = topology.port(node, network)
        for direction, hook in (("out", "ingress"), ("in", "egress")):
            port = f"{device}_{direction}"
            lines += [
                f"add counter netdev lab {port}",
                f"add chain netdev lab {port}_drops",
                f'add chain netdev lab {port} {{ type filter hook {hook} device "{device}" priority 0; }}',
                f"flush chain netdev lab {port}",
                f"flush chain netdev lab {port}_drops",
            ]
            here = [hit for hit in found if (hit.node, hit.direction, hit.network) == (node, direction, network)]
            lines += [f"add rule netdev lab {port} {rule}" for hit in here if hit.everything for rule in _drop(topology, hit)]
            selective = [rule for hit in here if not hit.everything for rule in _drop(topology, hit)]
            if selective:
                # A lost ARP or neighbour solicitation delays packets that are then neither lost nor counted.
                lines += [
                    f"add rule netdev lab {port} jump {port}_drops",
                    f"add rule netdev lab {port}_drops meta protocol != {{ ip, ip6 }} return",
                    f"add rule netdev lab {port}_drops icmpv6 type {{ 133-137 }} return",
                ]
                lines += [f"add rule netdev lab {port}_drops {rule}" for rule in selective]
        if node.name in delayed and network == DEFAULT_NETWORK:
            lines.append(f'add rule netdev lab {node.port}_out fwd to "{relay_tap(node)}"')
    return "\n".join(lines) + "\n"


def _drop(topology: Topology, hit: Hit) -> Iterator[str]:
    """Rules of which a packet fits at most one, so that its chance to be dropped is that of the fault."""
    who = ""
    if hit.peer:
        macs = ", ".join(topology.macs(hit.peer, hit.network))
        who = f"ether {'daddr' if hit.direction == 'out' else 'saddr'} {{ {macs} }}"
    # On its way out of a port a packet is counted with its Ethernet header.
    longest = hit.longer_than + (_ETHERNET_BYTES if hit.direction == "in" else 0)
    length = f"meta length > {longest}" if hit.longer_than else ""
    chance = f"numgen random mod {_MILLION} < {round(hit.share * _MILLION)}" if hit.share < 1 else ""
    port = topology.port(hit.node, hit.network)
    end = f'counter name "{port}_{hit.direction}" fwd to "{SINK[hit.direction]}"'
    tunnelled = topology.shape.fabric is Fabric.VXLAN and hit.network == DEFAULT_NETWORK
    for what in _tunnelled(hit) if tunnelled else _plain(hit):
        yield " ".join(word for word in (what, who, length, chance, end) if word)


def _plain(hit: Hit) -> Iterator[str]:
    """Matches for what a fault names, where packets pass as they are."""
    protocol = _protocol(hit.protocol) if hit.protocol else ""
    if hit.layer is None:
        yield protocol
        return
    for scope in _between(PODS if hit.layer == "pod" else UNDERLAY):
        yield f"{scope} {protocol}"


def _tunnelled(hit: Hit) -> Iterator[str]:
    """The same, where packets between pods are inside of others."""
    if hit.protocol == "vxlan" or (hit.layer, hit.protocol) == ("pod", None):
        yield f"udp dport {VXLAN_PORT}"
        return
    if hit.layer is None and hit.protocol is None:
        yield ""
        return
    if hit.layer != "pod":
        for scope in _between(UNDERLAY) if hit.layer else [""]:
            if hit.protocol != "udp":
                yield f"{scope} {_protocol(hit.protocol) if hit.protocol else 'meta l4proto != udp'}"
            if hit.protocol in {None, "udp"}:
                yield f"{scope} udp dport != {VXLAN_PORT}"
    if hit.layer != "host":
        for ethertype, protocol_at in _INNER:
            numbers = _NUMBERS[hit.protocol or ""]
            yield f"udp dport {VXLAN_PORT} @th,{_INNER_ETHERTYPE},16 {ethertype} @th,{protocol_at},8 {{ {numbers} }}"


def _between(networks: Mapping[Family, str]) -> list[str]:
    return [f"{_IP[family]} saddr {network} {_IP[family]} daddr {network}" for family, network in networks.items()]


def _protocol(name: str) -> str:
    return "meta l4proto " + ("{ icmp, ipv6-icmp }" if name == "icmp" else name)


def node_rules(topology: Topology, node: Node, faults: Sequence[Fault]) -> str:
    """For one node: ClusterIP services by DNAT, and masquerade of its pods, as CNIs and kube-proxy do."""
    broken = {
        fault.service: fault.how for fault in faults if isinstance(fault, BrokenDnat) and topology.node[fault.node] == node
    }
    dispatch: list[str] = []
    chains: list[str] = []
    hairpin: list[str] = []
    for service in (*topology.services, topology.dns):
        how = broken.get(f"{service.namespace}/{service.name}")
        if how == "removed" or not any(serving(faults, pod.node) for pod in service.backends):
            continue
        for family, address in service.addresses.items():
            for protocol in service.protocols:
                chain = f"{service.namespace}-{service.name}-{protocol}-{family}".replace("-", "_")
                dispatch.append(f"{_IP[family]} daddr {address} {protocol} dport {service.port} goto {chain}")
                to = _backends(service, family, faults) if how is None else [_nowhere(node, family)]
                choices = ", ".join(f"{place} : {backend} . {service.target_port}" for place, backend in enumerate(to))
                chains.append(
                    f"chain {chain} {{ meta l4proto {protocol} "
                    f"dnat {_IP[family]} to numgen random mod {len(to)} map {{ {choices} }}; }}"
                )
            hairpin += [
                f"ct status dnat {_IP[family]} saddr {address} {_IP[family]} daddr {address} masquerade"
                for address in _backends(service, family, faults)
            ]
    snat = any(isinstance(fault, Snat) and topology.node[fault.node] == node for fault in faults)
    masquerade = []
    for family, network in node.pod_networks.items():
        ip = _IP[family]
        if snat:
            masquerade.append(f'oifname {{ "eth0", "{TUNNEL}" }} {ip} saddr {network} {ip} daddr {PODS[family]} masquerade')
        masquerade.append(f'oifname "eth0" {ip} saddr {network} {ip} daddr != {PODS[family]} masquerade')
    return "\n".join(
        [
            "add table inet lab",
            "delete table inet lab",
            "table inet lab {",
            *chains,
            _chain("services", "", dispatch),
            _chain("prerouting", "type nat hook prerouting priority dstnat;", ["jump services"]),
            _chain("output", "type nat hook output priority -100;", ["jump services"]),
            _chain("postrouting", "type nat hook postrouting priority srcnat;", [*hairpin, *masquerade]),
            _chain("forward", "type filter hook forward priority filter;", _rejections(topology, node, faults)),
            "}\n",
        ]
    )


def _rejections(topology: Topology, node: Node, faults: Sequence[Fault]) -> list[str]:
    """What a node refuses. Answers to the other one's packets pass."""
    return [
        f"ct state new {_IP[family]} saddr {network} {_IP[family]} daddr {topology.node[fault.to].pod_networks[family]} "
        f"reject with icmpx type {_REJECTED[fault.says]}"
        for fault in faults
        if isinstance(fault, Reject) and topology.node[fault.from_] == node
        for family, network in node.pod_networks.items()
    ]


def router_rules() -> str:
    """For the router: everything that leaves the cluster has the router's address."""
    return "\n".join(
        [
            "add table inet lab",
            "delete table inet lab",
            "table inet lab {",
            _chain("postrouting", "type nat hook postrouting priority srcnat;", ['oifname "outside" masquerade']),
            "}\n",
        ]
    )


def _chain(name: str, kind: str, rules: Sequence[str]) -> str:
    return f"chain {name} {{\n{kind}\n" + "\n".join(rules) + "\n}"


def _backends(service: Service, family: Family, faults: Sequence[Fault]) -> list[str]:
    return [pod.addresses[family] for pod in service.backends if serving(faults, pod.node)]


def _nowhere(node: Node, family: Family) -> str:
    return f"10.30.{node.number}.{_NOWHERE}" if family is Family.IPV4 else f"fd31:{node.number:x}::{_NOWHERE:x}"

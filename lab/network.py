"""The network of a lab: namespaces, links, addresses, routes and sysctls, built in a few batches and removed by name.

Nodes hang on one bridge. A pod hangs on its node's bridge with a /32 (or /128) and a default route through the node, so that
every packet is routed by the node and passes its service rules, even between two pods of one node. A further network is one
Ethernet segment with bridges of its own, on which its addresses are neighbours.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from lab import namespaces, rootless
from lab.attachment import device
from lab.links import TUNNEL, routes
from lab.roles import VXLAN_PORT
from lab.rules import SEEN, SINK, fabric_rules, node_rules, router_rules
from lab.shape import Fabric
from lab.topology import ROUTER_INSIDE, ROUTER_OUTSIDE, UNDERLAY, Node, Pod, Topology
from wire.path import Family

BRIDGE = "underlay"
_TUNNEL_NUMBER = 1
_LAST_RESORT = 10_000
"""Metric of a route that only holds where no other one does."""

_QUIET = {
    # Duplicate address detection keeps an IPv6 address unusable for a second, and its absence harms nobody here.
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # A redirect would let two pods of a node talk past the node, and so past its service rules.
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/default/accept_redirects": "0",
    "ipv6/conf/all/accept_redirects": "0",
    "ipv6/conf/default/accept_redirects": "0",
}
_BRIDGES = {
    # Where the machine has loaded br_netfilter, bridged packets would pass the rules for routed ones, and a service's backend
    # could not reach itself through the service.
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}
_ROUTES = {
    **_BRIDGES,
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
    **_QUIET,
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    # As many ICMP errors as there are packets: with the usual one a second it is a matter of chance which probe gets one.
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
}
_ANSWERS = {
    **_QUIET,
    # Programs have no capability, and DNS and HTTP have their well-known ports.
    "ipv4/ip_unprivileged_port_start": "0",
}
_SWITCHES = {**_BRIDGES, "ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}


def build(topology: Topology) -> None:
    """Make the whole network, without faults. Raises RuntimeError when ip or nft refuse; what was made so far stays."""
    namespaces.run_batch("\n".join(f"netns add {name}" for name in topology.namespaces))
    namespaces.write_sysctls(_sysctls(topology))
    namespaces.run_batch("\n".join(_fabric(topology)), topology.fabric_netns)
    # Every batch below waits for the kernel more than it computes.
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda node: _build_node(topology, node), topology.nodes))
        if topology.external:
            _build_outside(topology)
        list(
            workers.map(
                lambda pod: namespaces.run_batch("\n".join(_pod(topology, topology.node[pod.node], pod)), pod.netns),
                topology.pods,
            )
        )
        namespaces.load_rules(topology.fabric_netns, fabric_rules(topology, ()))
        list(workers.map(lambda node: namespaces.load_rules(node.netns, node_rules(topology, node, ())), topology.nodes))


def destroy(lab: str) -> None:
    """End every process in a lab's namespaces and delete them. Needs no more than the name; a lab that is gone is no error."""
    names = namespaces.existing(lab)
    identities = namespaces.identify(names)
    namespaces.end_processes_of(identities)
    namespaces.remove(names)
    # Whoever came in meanwhile; now that the names are gone, nobody else can.
    namespaces.end_processes_of(identities)


def _sysctls(topology: Topology) -> dict[str, dict[str, str]]:
    settings = {topology.fabric_netns: _SWITCHES}
    settings |= {node.netns: _ROUTES for node in topology.nodes}
    answers = {**_ANSWERS, "ipv4/ping_group_range": f"{rootless.group()} {rootless.group()}"}
    settings |= {pod.netns: answers for pod in topology.pods}
    if topology.external:
        settings[topology.external.router_netns] = _ROUTES
        settings[topology.external.netns] = answers
    return settings


def _fabric(topology: Topology) -> Iterator[str]:
    yield "link set lo up"
    yield f"link add {BRIDGE} type bridge stp_state 0 mcast_snooping 0"
    yield f"link set {BRIDGE} up"
    for direction, sink in SINK.items():
        yield f"link add {sink} type veth peer name {SEEN[direction]}"
        yield f"link set {sink} up"
        yield f"link set {SEEN[direction]} up"
    for node in topology.nodes:
        yield f"link add {node.port} type veth peer name eth0 address {node.mac} netns {node.netns}"
        yield f"link set {node.port} master {BRIDGE} up"
    for network in topology.shape.further_networks:
        name = device(topology.shape, network)
        yield f"link add {name} type bridge stp_state 0 mcast_snooping 0"
        yield f"link set {name} up"
        for node in topology.nodes:
            port = topology.port(node, network)
            yield f"link add {port} type veth peer name {name}_up netns {node.netns}"
            yield f"link set {port} master {name} up"
    if topology.external:
        yield f"link add router type veth peer name inside netns {topology.external.router_netns}"
        yield f"link set router master {BRIDGE} up"


def _build_node(topology: Topology, node: Node) -> None:
    namespaces.run_batch("\n".join(_node(topology, node)), node.netns)
    if topology.shape.fabric is Fabric.VXLAN and len(topology.nodes) > 1:
        namespaces.run_batch("\n".join(_forwarding(topology, node)), node.netns, tool="bridge")


def _node(topology: Topology, node: Node) -> Iterator[str]:
    yield "link set lo up"
    yield "link set eth0 up"
    yield "link add pods type bridge stp_state 0 mcast_snooping 0"
    yield "link set pods up"
    for family, address in node.addresses.items():
        yield f"addr add {address}/{UNDERLAY[family].partition('/')[2]} dev eth0{_nodad(family)}"
        network = node.pod_networks[family]
        yield f"addr add {node.gateways[family]}/{network.partition('/')[2]} dev pods{_nodad(family)}"
    for pod in topology.pods_on(node.name):
        yield f"link add {pod.interface} type veth peer name eth0 netns {pod.netns}"
        yield f"link set {pod.interface} mtu {topology.mtu} master pods up"
        for attachment in pod.attachments:
            yield (
                f"link add {attachment.interface} type veth peer name {attachment.device} "
                f"address {attachment.mac} netns {pod.netns}"
            )
    for network in topology.shape.further_networks:
        # The node itself has no address there, so nothing gets from one network to another.
        name = device(topology.shape, network)
        yield f"link add {name} type bridge stp_state 0 mcast_snooping 0"
        yield f"link set {name} addrgenmode none up"
        yield f"link set {name}_up addrgenmode none master {name} up"
        for attachment in (found for pod in topology.pods_on(node.name) for found in pod.attachments):
            if attachment.network == network:
                yield f"link set {attachment.interface} master {name} up"
    if topology.shape.fabric is Fabric.VXLAN:
        yield from _tunnel(topology, node)
    yield from routes(topology, node)
    if topology.external:
        for family in node.addresses:
            yield f"route add default via {ROUTER_INSIDE[family]}"


def _tunnel(topology: Topology, node: Node) -> Iterator[str]:
    """One device for all tunnels of a node. Who is at the other end is written down, so nothing has to be learnt or flooded."""
    yield (
        f"link add {TUNNEL} address {node.tunnel_mac} mtu {topology.mtu} type vxlan id {_TUNNEL_NUMBER} "
        f"dstport {VXLAN_PORT} local {node.addresses[topology.outer]} dev eth0 nolearning"
    )
    yield f"link set {TUNNEL} addrgenmode none up"
    for family, address in node.tunnel_addresses.items():
        yield f"addr add {address}/{32 if family is Family.IPV4 else 128} dev {TUNNEL}{_nodad(family)}"
    for other in topology.nodes:
        if other != node:
            for there in other.tunnel_addresses.values():
                yield f"neigh add {there} lladdr {other.tunnel_mac} dev {TUNNEL} nud permanent"


def _forwarding(topology: Topology, node: Node) -> Iterator[str]:
    for other in topology.nodes:
        if other != node:
            yield f"fdb add {other.tunnel_mac} dev {TUNNEL} dst {other.addresses[topology.outer]} self permanent"


def _pod(topology: Topology, node: Node, pod: Pod) -> Iterator[str]:
    yield "link set lo up"
    yield f"link set eth0 mtu {topology.mtu} up"
    for family, address in pod.addresses.items():
        yield f"addr add {address}/{32 if family is Family.IPV4 else 128} dev eth0{_nodad(family)}"
        yield f"route add default via {node.gateways[family]} dev eth0 onlink"
    for attachment in pod.attachments:
        yield f"link set {attachment.device} up"
        for family, address in attachment.addresses.items():
            prefix = attachment.prefixes[family]
            yield f"addr add {address}/{prefix.partition('/')[2]} dev {attachment.device}{_nodad(family)}"
            # Where its interface is down, the network is out of reach and not somewhere behind the default route.
            yield f"route add unreachable {prefix} metric {_LAST_RESORT}"


def _build_outside(topology: Topology) -> None:
    external = topology.external
    if not external:
        return
    router, host = ["link set lo up", "link set inside up"], ["link set lo up", "link set eth0 up"]
    router += [f"link add outside type veth peer name eth0 netns {external.netns}", "link set outside up"]
    for family, address in external.addresses.items():
        length = 24 if family is Family.IPV4 else 64
        router.append(f"addr add {ROUTER_INSIDE[family]}/{UNDERLAY[family].partition('/')[2]} dev inside{_nodad(family)}")
        router.append(f"addr add {ROUTER_OUTSIDE[family]}/{length} dev outside{_nodad(family)}")
        # It has no route back into the cluster: without the router's NAT nothing comes back.
        host.append(f"addr add {address}/{length} dev eth0{_nodad(family)}")
    namespaces.run_batch("\n".join(router), external.router_netns)
    namespaces.run_batch("\n".join(host), external.netns)
    namespaces.load_rules(external.router_netns, router_rules())


def _nodad(family: Family) -> str:
    return " nodad" if family is Family.IPV6 else ""

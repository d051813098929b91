"""What links do to packets by themselves, as commands: how long a packet may be on a route, and how short a queue is.

In: the topology and the active faults, and nothing else. Out: batches of `ip` and `tc`, each of which replaces what was there.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from lab import namespaces
from lab.faults import Fault, FullQueue, SmallMtu
from lab.roles import ECHO_PORT
from lab.shape import Fabric
from lab.topology import Node, Topology
from wire.path import Family

TUNNEL = "vxlan0"
"""A node's interface into the tunnels to all others, on a fabric that has any."""
_CONNECTED_METRIC = 256
"""Of the route that an IPv6 address brings with itself (IP6_RT_PRIO_ADDRCONF, linux/ipv6_route.h)."""
_QUEUE = (
    "qdisc replace dev eth0 root handle 1: htb default 10",
    "class replace dev eth0 parent 1: classid 1:10 htb rate 1gbit quantum 60000",
    # A packet of 300 bytes waits for a third of a second at most, which is no loss, and every further one has no place.
    # Those of 512 and more do not pass here: they would keep the others waiting for longer than a timeout.
    "class replace dev eth0 parent 1: classid 1:20 htb rate 8kbit quantum 1500",
    "qdisc replace dev eth0 parent 1:20 handle 20: pfifo limit 1",
    *(
        f"filter replace dev eth0 parent 1: prio {prio} protocol {protocol} u32 "
        f"match {ip} protocol 17 0xff match {ip} dport {ECHO_PORT} 0xffff match u16 0 0xfe00 at {length_at} flowid 1:20"
        for prio, protocol, ip, length_at in ((1, "ip", "ip", 2), (2, "ipv6", "ip6", 4))
    ),
)
_WIDE = "class replace dev eth0 parent 1: classid 1:20 htb rate 1gbit quantum 60000"
_DRAINED = 0.5
"""Seconds until what waits in a queue has left it, which would be lost with the queue."""


def routes(topology: Topology, node: Node, faults: Sequence[Fault] = ()) -> Iterator[str]:
    """Routes of a node to the pods of every node, its own among them."""
    into, to = _mtus(topology, node, faults)
    for family, network in node.pod_networks.items():
        how = f"src {node.gateways[family]}" if family is Family.IPV4 else f"metric {_CONNECTED_METRIC}"
        yield f"route replace {network} dev pods proto kernel {how}{into}"
    for other in topology.nodes:
        if other == node:
            continue
        for family, network in other.pod_networks.items():
            if topology.shape.fabric is Fabric.VXLAN:
                way = f"via {other.tunnel_addresses[family]} dev {TUNNEL} onlink"
            else:
                way = f"via {other.addresses[family]}"
            yield f"route replace {network} {way}{to.get(other.name, '')}"


def load(topology: Topology, before: Sequence[Fault], after: Sequence[Fault]) -> None:
    """From the links as they are with some faults to those with others. Raises RuntimeError when ip or tc refuse."""
    for node in topology.nodes:
        known = set(routes(topology, node, before))
        if changed := [route for route in routes(topology, node, after) if route not in known]:
            namespaces.run_batch("\n".join(changed), node.netns)
    was, now = ({fault.node for fault in faults if isinstance(fault, FullQueue)} for faults in (before, after))
    for name in was ^ now:
        netns = topology.agent_on(name).netns
        if name in now:
            namespaces.run_batch("\n".join(_QUEUE), netns, tool="tc")
        else:
            namespaces.run_batch(_WIDE, netns, tool="tc")
            time.sleep(_DRAINED)
            namespaces.run_batch("qdisc del dev eth0 root", netns, tool="tc")


def _mtus(topology: Topology, node: Node, faults: Sequence[Fault]) -> tuple[str, Mapping[str, str]]:
    """Words for the route to its own pods, and for those to each other node."""
    into = ""
    to: dict[str, str] = {}
    for fault in faults:
        if not isinstance(fault, SmallMtu):
            continue
        for here, direction, peer in fault.links(topology):
            if here == node and direction == "in":
                into = f" mtu {fault.bytes}"
            elif here == node:
                to |= {other.name: f" mtu {fault.bytes}" for other in ([peer] if peer else topology.nodes)}
    return into, to

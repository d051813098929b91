"""What stands in the way of single flows on a node, as nftables rules in tables of their own.

Rules follow from the topology and the active faults. The one exception is a stuck session, which is about flows as they are at
the moment when it begins: its table stays as it was loaded until the fault is undone. Loading these forgets no connection.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from lab import namespaces
from lab.faults import Fault
from lab.roles import DNS_PORT, ECHO_PORT
from lab.tampering import DnsRace, FullTable, OtherSource, StuckSession
from lab.topology import Node, Topology
from wire.path import Family

_FORGET_AFTER = "5s"
"""Longer than any question is waited for, and too short for a random port to come again."""
_STRANGE = 252
"""Host number of the address that answers come from, and that no pod ever has."""
_IP = {Family.IPV4: ("ip", "ipv4_addr", "icmp"), Family.IPV6: ("ip6", "ipv6_addr", "icmpv6")}


def load(topology: Topology, before: Sequence[Fault], after: Sequence[Fault]) -> None:
    """From the firewalls as they are with some faults to those with others; raises RuntimeError with what nft said."""
    for node in topology.nodes:
        rules = flow_rules(topology, node, after)
        if rules != flow_rules(topology, node, before):
            namespaces.load_rules(node.netns, rules)
    was, now = ([fault for fault in faults if isinstance(fault, StuckSession)] for faults in (before, after))
    for fault in was:
        if fault not in now:
            namespaces.load_rules(topology.node[fault.from_].netns, _empty(_stuck(fault)))
    for fault in now:
        if fault not in was:
            netns = topology.agent_on(fault.from_).netns
            open_now = {name: namespaces.call_inside(netns, partial(_own_ports, name)) for name in _TABLES}
            namespaces.load_rules(topology.node[fault.from_].netns, stuck_rules(topology, fault, open_now))


def flow_rules(topology: Topology, node: Node, faults: Sequence[Fault]) -> str:
    """The rules of one node but for stuck sessions; they replace what was loaded before."""
    sets: list[str] = []
    first: list[str] = []
    early: list[str] = []
    forward: list[str] = []
    for fault in faults:
        match fault:
            case DnsRace(node=name) if name == node.name:
                for ip, kind, _ in _IP.values():
                    asked = f"{ip} saddr . udp sport"
                    sets.append(f"set asked_{ip} {{ type {kind} . inet_service; flags dynamic,timeout; size 65535; }}")
                    first += [
                        f'iifname "pods" udp dport {DNS_PORT} {asked} @asked_{ip} drop',
                        f'iifname "pods" udp dport {DNS_PORT} add @asked_{ip} {{ {asked} timeout {_FORGET_AFTER} }}',
                    ]
            case FullTable(node=name) if name == node.name:
                # Packets of a tunnel are never answered to the same port, so that their connection is new for ever.
                early.append("ct status & confirmed == 0 drop")
            case OtherSource(from_=name, to=to) if name == node.name:
                forward += _disguises(node, topology.node[to])
            case _:
                pass
    return _empty("flows") + "\n".join(
        [
            "table inet flows {",
            *sets,
            _chain("first", "prerouting", "raw", first),
            _chain("early", "prerouting", "mangle", early),
            _chain("forward", "forward", "filter", forward),
            "}\n",
        ]
    )


def stuck_rules(topology: Topology, fault: StuckSession, open_now: Mapping[str, Sequence[int]]) -> str:
    """Rules against the flows between two agents by the sender's ports and ids, as `/proc/net` names their tables."""
    here, there = topology.agent_on(fault.from_), topology.agent_on(fault.to)
    rules = []
    for family, (ip, _, icmp) in _IP.items():
        if family not in here.addresses:
            continue
        number = "" if family is Family.IPV4 else "6"
        ports = [port for port in open_now[f"udp{number}"] if port != ECHO_PORT]
        flows = {
            f"udp dport {ECHO_PORT} udp sport": ports,
            f"{icmp} type echo-request {icmp} id": open_now[f"icmp{number}"],
        }
        way = f"{ip} saddr {here.addresses[family]} {ip} daddr {there.addresses[family]}"
        rules += [f"{way} {flow} {{ {', '.join(map(str, found))} }} drop" for flow, found in flows.items() if found]
    table = _stuck(fault)
    return _empty(table) + f"table inet {table} {{\n{_chain('forward', 'forward', 'filter', rules)}\n}}\n"


_TABLES = ("udp", "udp6", "icmp", "icmp6")


def _own_ports(table: str) -> list[int]:
    """Local ports, or ids, of all sockets of the calling thread's namespace that are connected to nobody."""
    lines = [line.split() for line in Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]]
    return sorted({int(line[1].rpartition(":")[2], 16) for line in lines if line[2].endswith(":0000")})


def _disguises(node: Node, to: Node) -> Iterator[str]:
    for family, (ip, _, icmp) in _IP.items():
        if family not in node.pod_networks:
            continue
        strange = node.pod_networks[family].partition("/")[0]
        strange = f"{strange.rpartition('.')[0]}.{_STRANGE}" if family is Family.IPV4 else f"{strange}{_STRANGE:x}"
        way = f"{ip} saddr {node.pod_networks[family]} {ip} daddr {to.pod_networks[family]}"
        for answer in (f"udp sport {ECHO_PORT}", f"{icmp} type echo-reply"):
            yield f"{way} {answer} {ip} saddr set {strange}"


def _stuck(fault: StuckSession) -> str:
    return f"stuck_to_{fault.to}"


def _empty(table: str) -> str:
    return f"add table inet {table}\ndelete table inet {table}\n"


def _chain(name: str, hook: str, priority: str, rules: Sequence[str]) -> str:
    return f"chain {name} {{\ntype filter hook {hook} priority {priority};\n" + "\n".join(rules) + "\n}"

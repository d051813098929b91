"""Faults: what a person can break in a lab, as values.

In: a mapping from a scenario such as `{kind: loss, node: n3, direction: in, percent: 20}`. Out: one of the structs below, which
knows which packets it hits but does nothing. Undoing a fault needs no memory of what was done: a lab's rules are a function of
its active faults, so taking one from the list and loading the rules again is the whole of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field, structs

from lab.cables import Links
from lab.departure import Drain, check_drain
from lab.nameserver import Behaviour, How
from lab.shape import DEFAULT_NETWORK, Fabric
from lab.tampering import OtherSource, StuckSession, Tamper, Tampering
from lab.topology import Node, Topology

Protocol = Literal["icmp", "udp", "tcp", "vxlan"]
"""Of the packet that a pod or a node has sent, inside of a tunnel too; `vxlan` are the tunnels themselves."""
LayerName = Literal["pod", "host"]
Percent = Annotated[float, Meta(gt=0, le=100)]
Milliseconds = Annotated[float, Meta(gt=0, le=10_000)]


class Hit(Struct, frozen=True):
    """Packets that a fault drops: at one node's port, in one direction, maybe only those to or from another node."""

    node: Node
    direction: Literal["in", "out"]
    peer: Node | None = None
    share: float = 1.0
    everything: bool = False
    """Also ARP and neighbour discovery, as when the cable is out; otherwise only what probes and programs send."""
    protocol: Protocol | None = None
    layer: LayerName | None = None
    network: str = DEFAULT_NETWORK
    longer_than: int = 0
    """Only IP packets of more bytes than this, as they are on the cable."""


class Loss(Links, frozen=True, tag="loss", tag_field="kind"):
    """Random loss of `percent` of the packets."""

    percent: Percent = field(default=100.0)


class Blackhole(Links, frozen=True, tag="blackhole", tag_field="kind"):
    """Every packet vanishes without a word; with `protocol` or `layer` only those."""

    protocol: Protocol | None = None
    layer: LayerName | None = None


class MtuBlackhole(Links, frozen=True, tag="mtu_blackhole", tag_field="kind"):
    """IP packets of more than so many bytes on the cable vanish without a word, those of a tunnel with their outer headers."""

    longer_than: Annotated[int, Meta(ge=64, le=9000)] = 1400


class SmallMtu(Links, frozen=True, tag="mtu", tag_field="kind"):
    """A node, which is the router of its pods, says of IP packets of more than so many bytes that they are too big.

    `out`: for what its pods send to those of other nodes; `in`: for what these send to its pods.
    """

    bytes: Annotated[int, Meta(ge=1280, le=9000)] = 1400


class Reject(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="reject", tag_field="kind"):
    """A node refuses what its pods send to those of another one, and says so with an ICMP error."""

    from_: str = field(name="from")
    to: str
    says: Literal["prohibited", "unreachable"] = "prohibited"


class FullQueue(Struct, frozen=True, forbid_unknown_fields=True, tag="full_queue", tag_field="kind"):
    """The agent of a node has a queue with place for next to nothing in front of what it sends to reflectors over UDP."""

    node: str


class Delay(Links, frozen=True, tag="delay", tag_field="kind"):
    """Every packet arrives `ms` milliseconds later.

    Where only one pair is meant, the rest of that port's traffic passes the relay too, and is late by some 0.2 ms.
    """

    ms: Milliseconds = 50.0


class DeadNode(Struct, frozen=True, forbid_unknown_fields=True, tag="dead_node", tag_field="kind"):
    """Power off: the cable is silent and every program on the node is killed. Undone, they start again."""

    node: str


class Partition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="partition", tag_field="kind"):
    """Nothing passes between two zones on a network."""

    zones: tuple[str, str]
    network: str = DEFAULT_NETWORK


class BrokenDnat(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="broken_dnat", tag_field="kind"):
    """One node has no rules, or stale ones, for a service."""

    node: str
    service: str
    """`namespace/name`."""
    how: Literal["nowhere", "removed"] = "nowhere"
    """`nowhere`: to an address that no pod has; `removed`: packets leave for the ClusterIP itself."""


class Snat(Struct, frozen=True, forbid_unknown_fields=True, tag="snat", tag_field="kind"):
    """A node masquerades what its pods send to pods of other nodes, which the Kubernetes network model forbids."""

    node: str


class NameServer(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="name_server", tag_field="kind"):
    """The cluster's DNS server behaves badly, in one of the ways of `lab.nameserver`; `ms` is the delay of a slow one."""

    how: How
    ms: Annotated[float, Meta(ge=0, le=10_000)] = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError unless a slow server, and no other, has a delay."""
        if (self.how is How.SLOW) != (self.ms > 0):
            raise ValueError("a name server that is slow, and no other, has a delay of ms above 0")


class CpuHogs(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="cpu_hogs", tag_field="kind"):
    """Busy loops that compete with every program of the lab."""

    count: Annotated[int, Meta(ge=1, le=64)] = 4


class Stop(Struct, frozen=True, forbid_unknown_fields=True, tag="stop", tag_field="kind"):
    """SIGSTOP for the agent of a node; undone by SIGCONT."""

    node: str


class KillCollector(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="kill_collector", tag_field="kind"
):
    """SIGKILL for the collector; it starts again after so many seconds, or when the fault is cleared."""

    restart_after: Annotated[float, Meta(ge=0, le=3600)] | None = None


class ReusedAddress(Struct, frozen=True, forbid_unknown_fields=True, tag="reused_address", tag_field="kind"):
    """Another pod answers at the address of a node's agent: the same program with another UID."""

    node: str


class AgentRestart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="agent_restart", tag_field="kind"):
    """The agent of a node is killed and started again at once, as a new boot. Nothing is left to undo."""

    node: str
    signal: Literal["KILL", "TERM"] = "KILL"


Fault = (
    Loss
    | Blackhole
    | MtuBlackhole
    | SmallMtu
    | Reject
    | FullQueue
    | Delay
    | DeadNode
    | Partition
    | BrokenDnat
    | Snat
    | NameServer
    | CpuHogs
    | Stop
    | KillCollector
    | ReusedAddress
    | AgentRestart
    | Drain
    | Tampering
)
RELAYED = (Delay, Tamper)
"""Faults for which packets pass a relay."""


def parse(words: Mapping[str, object], topology: Topology) -> Fault:
    """A fault from a scenario's mapping; raises ValueError with one sentence where it is none or names what the lab lacks."""
    try:
        fault: Fault = msgspec.convert(dict(words), Fault)
    except msgspec.ValidationError as error:
        raise ValueError(f"fault: {error}") from None
    check(fault, topology)
    return fault


def check(fault: Fault, topology: Topology) -> None:
    """Raise ValueError where a fault names a node, zone, network or service that the lab does not have."""
    for name in (getattr(fault, part, "") for part in ("node", "from_", "to")):
        if name and name not in topology.node:
            raise ValueError(f"fault: there is no node {name!r}, there are n1 to n{len(topology.nodes)}")
    _check_network(getattr(fault, "network", DEFAULT_NETWORK), topology)
    match fault:
        case Links():
            _check_links(fault, topology)
        case Reject() | OtherSource() | StuckSession() if fault.from_ == fault.to:
            raise ValueError("fault: from and to are two different nodes")
        case Partition(zones=zones):
            if zones[0] == zones[1] or not set(zones) <= set(topology.zones):
                raise ValueError(f"fault: zones must be two of {', '.join(topology.zones)}")
        case Drain():
            check_drain(fault, topology)
        case BrokenDnat():
            _check_service(fault.service, topology)
        case _:
            pass


def _check_service(service: str, topology: Topology) -> None:
    services = [f"{there.namespace}/{there.name}" for there in (*topology.services, topology.dns)]
    if service not in services:
        raise ValueError(f"fault: there is no service {service!r}, there are {', '.join(services) or 'none'}")


def _check_network(network: str, topology: Topology) -> None:
    if network not in topology.shape.networks:
        raise ValueError(f"fault: there is no network {network!r}, there are {', '.join(topology.shape.networks)}")


def _check_links(fault: Links, topology: Topology) -> None:
    if bool(fault.node) == bool(fault.from_ or fault.to) or bool(fault.from_) != bool(fault.to):
        raise ValueError("fault: name either a node, or both from and to")
    if fault.from_ and (fault.direction != "both" or fault.from_ == fault.to):
        raise ValueError("fault: from and to are two different nodes, and a direction in themselves")
    if isinstance(fault, RELAYED) and fault.network != DEFAULT_NETWORK:
        raise ValueError("fault: only the default network has relays")
    if isinstance(fault, SmallMtu) and fault.network != DEFAULT_NETWORK:
        raise ValueError("fault: only the default network has routers")
    if isinstance(fault, Blackhole) and fault.protocol == "vxlan" and topology.shape.fabric is not Fabric.VXLAN:
        raise ValueError("fault: there are no tunnels on a flat fabric")


def behaviour(faults: Sequence[Fault]) -> Behaviour:
    """How the name server behaves under faults: as the last of them says."""
    wanted = [fault for fault in faults if isinstance(fault, NameServer)]
    return Behaviour(wanted[-1].how, wanted[-1].ms) if wanted else Behaviour()


def hits(fault: Fault, topology: Topology) -> Iterator[Hit]:
    """Which packets a fault drops, port by port."""
    match fault:
        case Loss() | Blackhole() | MtuBlackhole():
            for node, direction, peer in fault.links(topology):
                yield _hit(fault, Hit(node, direction, peer, network=fault.network))
        case DeadNode():
            for network in topology.shape.networks:
                yield Hit(topology.node[fault.node], "out", everything=True, network=network)
                yield Hit(topology.node[fault.node], "in", everything=True, network=network)
        case Partition(zones=(one, other), network=network):
            for here, there in ((one, other), (other, one)):
                for node, peer in product(topology.zones[here], topology.zones[there]):
                    yield Hit(node, "out", peer, network=network)
        case _:
            return


def _hit(fault: Loss | Blackhole | MtuBlackhole, where: Hit) -> Hit:
    match fault:
        case Loss(percent=percent):
            return structs.replace(where, share=percent / 100)
        case Blackhole(protocol=protocol, layer=layer):
            return structs.replace(where, protocol=protocol, layer=layer)
        case MtuBlackhole(longer_than=longer_than):
            return structs.replace(where, longer_than=longer_than)

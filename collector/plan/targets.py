"""What is probed, and how it is asked: the targets of a snapshot by layer. Pure. Who probes them is decided in `assignment`."""

from collections.abc import Iterator, Sequence

from msgspec import Struct, structs

from collector.discovery.probes import external_asks, service_asks
from collector.discovery.snapshot import Attachment, DnsServer, Door, External, Node, Service, Snapshot, Vantage
from collector.duration import Duration
from collector.plan.name_servers import dns_aims
from collector.plan.packet_sizes import mtu_asks
from collector.settings import PlanSettings
from wire.path import Ask, Family, Http, Icmp, Kind, Layer, Target, Tcp, Udp, words

ECHO_PATH = "/echo"
"""Where agents answer HTTP, with their identity to those who prove to be colleagues."""
SPARE = 3
"""Services and external hosts are asked once in so many intervals, unless configured otherwise."""


class Aim(Struct, frozen=True):
    """A path but for its vantage, and how often it is probed."""

    layer: Layer
    family: Family
    target: Target
    ask: Ask
    interval_ms: int
    words: bytes
    """What the ids of these paths have in common."""


def aim(layer: Layer, family: Family, target: Target, ask: Ask, interval_ms: int) -> Aim:
    """An aim with its words."""
    return Aim(layer, family, target, ask, interval_ms, words(layer, family, target, ask).encode())


class Item(Struct, frozen=True):
    """What all probe in a small cluster and what is shared out in a large one: a service, a name server, a host outside."""

    name: str
    critical: bool
    aims: tuple[Aim, ...]

    @property
    def external(self) -> bool:
        """Whether it is somebody else's, and has a smaller budget."""
        return any(one.layer is Layer.EXTERNAL for one in self.aims)


class Intervals:
    """How often everything is probed, in milliseconds, as the settings say or follows from them."""

    def __init__(self, settings: PlanSettings) -> None:
        every = structs.asdict(settings.kinds)
        spare = Duration(SPARE * settings.interval)
        self.pod = settings.interval.milliseconds
        self.kinds = {kind: every[kind.value] * self.pod for kind in Kind if every.get(kind.value)}
        self.host = (settings.host_interval or settings.interval).milliseconds
        self.service = (settings.service_interval or spare).milliseconds
        self.external = (settings.external_interval or spare).milliseconds
        self.dns = (settings.dns_interval or settings.interval).milliseconds
        self.mtu = settings.mtu_interval.milliseconds


def first_of_each_family(addresses: Sequence[str]) -> dict[Family, str]:
    """The first address of each family."""
    first: dict[Family, str] = {}
    for address in addresses:
        first.setdefault(Family.of(address), address)
    return first


def pod_name(vantage: Vantage) -> str:
    """Name of a vantage's pod as a target."""
    return f"pod/{vantage.namespace}/{vantage.pod}"


def aimed_at(vantage: Vantage) -> bool:
    """Whether others probe it: one that is terminating is let go, and whoever has its address next is somebody else."""
    return vantage.excluded != "terminating"


def pod_targets(vantage: Vantage, network: Attachment | None = None) -> dict[Family, Target]:
    """A pod's addresses, on its default network or on a further one; none of a pod that is terminating."""
    if not aimed_at(vantage):
        return {}
    addresses, on = (network.addresses, network.name) if network else (vantage.addresses, "")
    return {
        family: Target(name=pod_name(vantage), peer=vantage.node, address=address, uid=vantage.uid, network=on)
        for family, address in first_of_each_family(addresses).items()
    }


def pod_ask(kind: Kind, port: int) -> Ask:
    """How an agent is asked."""
    match kind:
        case Kind.UDP:
            return Udp(port=port)
        case Kind.TCP:
            return Tcp(port=port)
        case Kind.HTTP:
            return Http(port=port, path=ECHO_PATH)
        case _:
            return Icmp()


def pod_aims(targets: dict[Family, Target], port: int, intervals: dict[Kind, int]) -> Iterator[Aim]:
    """A pod by all kinds, each with its interval."""
    for family, target in targets.items():
        for kind, interval_ms in intervals.items():
            yield aim(Layer.POD, family, target, pod_ask(kind, port), interval_ms)


def mtu_aims(targets: dict[Family, Target], port: int, mtu: int, interval_ms: int) -> Iterator[Aim]:
    """A pod with packets of several lengths."""
    for family, target in targets.items():
        for ask in mtu_asks(mtu, port):
            yield aim(Layer.MTU, family, target, ask, interval_ms)


def node_aims(node: Node, interval_ms: int) -> tuple[Aim, ...]:
    """A node by all of its addresses."""
    name = f"node/{node.name}"
    return tuple(
        aim(Layer.HOST, Family.of(address), Target(name=name, peer=node.name, address=address), Icmp(), interval_ms)
        for address in node.addresses
    )


def items(snapshot: Snapshot, intervals: Intervals) -> list[Item]:
    """Services with an endpoint, name servers and external hosts, each group in the order of its names."""
    services = sorted(snapshot.services, key=lambda service: (service.namespace, service.name))
    return [
        *(
            item
            for service in services
            if service.endpoints != 0
            for item in (
                _service(service, intervals.service),
                *(_door(service, door, intervals.service) for door in service.doors),
            )
            if item.aims
        ),
        *(_dns(server, intervals.dns) for server in sorted(snapshot.dns, key=lambda server: server.name)),
        *(_external(host, intervals.external) for host in sorted(snapshot.external, key=lambda host: host.name)),
    ]


def _service(service: Service, interval_ms: int) -> Item:
    name = f"service/{service.namespace}/{service.name}"
    aims = _service_aims(service, name=name, peer=name, addresses=service.addresses, port=service.port, interval_ms=interval_ms)
    return Item(name, service.critical, aims)


def _door(service: Service, door: Door, interval_ms: int) -> Item:
    name = door_name(service, door)
    aims = _service_aims(
        service, name=name, peer=door.node or name, addresses=door.addresses, port=door.port, interval_ms=interval_ms
    )
    return Item(name, critical=False, aims=aims)


def door_name(service: Service, door: Door) -> str:
    """Name of another way to a service as a target."""
    return f"{door.kind}/{service.namespace}/{service.name}/{door.name}"


def _service_aims(
    service: Service, *, name: str, peer: str, addresses: Sequence[str], port: int, interval_ms: int
) -> tuple[Aim, ...]:
    return tuple(
        aim(Layer.SERVICE, Family.of(address), Target(name=name, peer=peer, address=address), ask, interval_ms)
        for address in addresses
        for ask in service_asks(service, port)
    )


def _dns(server: DnsServer, interval_ms: int) -> Item:
    aims = tuple(aim(Layer.DNS, family, target, ask, every * interval_ms) for family, target, ask, every in dns_aims(server))
    return Item(f"dns/{server.name}", server.critical, aims)


def _external(host: External, interval_ms: int) -> Item:
    name = f"external/{host.name}"
    target = Target(name=name, peer=name, address=host.address, host=host.host)
    families = [Family.of(host.address)] if host.address else list(Family)
    aims = tuple(aim(Layer.EXTERNAL, family, target, ask, interval_ms) for family in families for ask in external_asks(host))
    return Item(name, host.critical, aims)

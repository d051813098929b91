"""Which paths a vantage has: targets by layer, each with how it is asked and how often."""

from collections.abc import Iterator, Sequence

from msgspec import structs

from collector.discovery.probes import external_asks, service_ask
from collector.discovery.snapshot import External, Node, Service, Snapshot, Vantage
from collector.duration import Duration
from collector.settings import PlanSettings
from wire.path import Ask, Family, Http, Icmp, Kind, Layer, Path, Target, Tcp, Udp
from wire.plan import PlannedPath

ECHO_PATH = "/echo"
"""Where agents answer HTTP, with their identity to those who prove to be colleagues."""
SPARE = 3
"""Services and external hosts are asked once in so many intervals, unless configured otherwise."""

Aim = tuple[Family, Target, Ask]


class Targets:
    """The targets of a snapshot, made once and shared by the paths of all vantages."""

    def __init__(self, snapshot: Snapshot, settings: PlanSettings) -> None:
        self._settings = settings
        every = structs.asdict(settings.kinds)
        self._kinds = [(kind, every[kind.value]) for kind in Kind if every.get(kind.value)]
        self._pods = {vantage.name: _pod_targets(vantage) for vantage in snapshot.vantages}
        self._nodes: list[Aim] = [
            (Family.of(target.address), target, Icmp()) for node in snapshot.nodes for target in _node_targets(node)
        ]
        self._services: list[Aim] = [
            (Family.of(target.address), target, service_ask(service))
            for service in snapshot.services
            if service.endpoints != 0
            for target in _service_targets(service)
        ]
        self._external: list[Aim] = [
            (family, target, ask)
            for external in snapshot.external
            for family, target in _external_targets(external)
            for ask in external_asks(external)
        ]

    def paths(self, vantage: Vantage, peers: Sequence[Vantage]) -> list[PlannedPath]:
        """The paths of one vantage to its peers and to everything else, over the families that it has."""
        settings = self._settings
        own = first_of_each_family(vantage.addresses)
        families = [family for family in settings.families if family in own]
        spare = Duration(SPARE * settings.interval)
        host, service, external = settings.host_interval, settings.service_interval, settings.external_interval
        layers = [
            *((Layer.POD, aim, Duration(every * settings.interval)) for aim, every in self._pod_aims(peers)),
            *((Layer.HOST, aim, host or settings.interval) for aim in self._nodes),
            *((Layer.SERVICE, aim, service or spare) for aim in self._services),
            *((Layer.EXTERNAL, aim, external or spare) for aim in self._external),
        ]
        return [
            PlannedPath(
                path=Path(vantage=vantage.name, target=target, layer=layer, family=family, ask=ask),
                interval_ms=interval.milliseconds,
                timeout_ms=settings.timeout.milliseconds,
            )
            for layer, (family, target, ask), interval in layers
            if family in families
        ]

    def _pod_aims(self, peers: Sequence[Vantage]) -> Iterator[tuple[Aim, int]]:
        for peer in peers:
            for family, target in self._pods[peer.name].items():
                for kind, every in self._kinds:
                    yield (family, target, _pod_ask(kind, peer.port)), every


def first_of_each_family(addresses: Sequence[str]) -> dict[Family, str]:
    """The first address of each family."""
    first: dict[Family, str] = {}
    for address in addresses:
        first.setdefault(Family.of(address), address)
    return first


def _pod_ask(kind: Kind, port: int) -> Ask:
    match kind:
        case Kind.UDP:
            return Udp(port=port)
        case Kind.TCP:
            return Tcp(port=port)
        case Kind.HTTP:
            return Http(port=port, path=ECHO_PATH)
        case _:
            return Icmp()


def _pod_targets(vantage: Vantage) -> dict[Family, Target]:
    name = f"pod/{vantage.namespace}/{vantage.pod}"
    return {
        family: Target(name=name, peer=vantage.node, address=address, uid=vantage.uid)
        for family, address in first_of_each_family(vantage.addresses).items()
    }


def _node_targets(node: Node) -> list[Target]:
    return [Target(name=f"node/{node.name}", peer=node.name, address=address) for address in node.addresses]


def _service_targets(service: Service) -> list[Target]:
    name = f"service/{service.namespace}/{service.name}"
    return [Target(name=name, peer=name, address=address) for address in service.addresses]


def _external_targets(external: External) -> list[tuple[Family, Target]]:
    name = f"external/{external.name}"
    target = Target(name=name, peer=name, address=external.address, host=external.host)
    return [(family, target) for family in ([Family.of(external.address)] if external.address else Family)]

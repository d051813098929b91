"""Which declarations are about a connection, found by where its ends are.

In: declarations and the cluster that they are about. Out: those that mean a connection, by their places. What is asked of one
end alone is found once for each end, since there are as many ends as pods and as many questions as pairs of them.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from collector.expectation.asked import asking_for, is_about
from collector.expectation.cluster import Cluster
from collector.expectation.document import Declared
from collector.expectation.selection import EVERYBODY, Selection
from collector.policy.ends import Connection, End, Pod


class One(Struct, frozen=True):
    """A declaration with its ends."""

    declared: Declared
    sources: tuple[Selection, ...]
    targets: tuple[Selection, ...]

    @property
    def families(self) -> Sequence[str]:
        """The families that it is about, in the words of a path; all where none is named."""
        return [word.lower() for word in self.declared.spec.family] or ["ipv4", "ipv6"]


class Marks(Struct, frozen=True):
    """What declarations have to do with one end, by their places; equal marks are treated alike."""

    asks: frozenset[int]
    """Those whose connections may come from here."""
    asked: frozenset[int]
    """Those whose connections may go to it by its own address."""
    behind: tuple[tuple[int, str], ...]
    """Those whose connections may go to it through a service, and its namespace and name."""


class Declarations:
    """See the module."""

    def __init__(self, declared: Sequence[Declared], cluster: Cluster) -> None:
        self.every = [_one(document) for document in declared]
        self.cluster = cluster
        self._asking: dict[str, list[int]] = {}
        """By the namespace that sources must be in; empty where they may be in any, or in none."""
        self._asked_in: dict[str, list[int]] = {}
        """The same of targets."""
        self._services: dict[str, list[tuple[int, str]]] = {}
        """By namespace and name of a service: places, and how it is reached."""
        for place, one in enumerate(self.every):
            self._asking.setdefault(one.declared.namespace, []).append(place)
            for near in {target.near for target in one.targets}:
                self._asked_in.setdefault(near, []).append(place)
            for target in one.targets:
                if target.service:
                    self._services.setdefault(target.service, []).append((place, target.via))

    def marks(self, end: End) -> Marks:
        """What declarations have to do with an end."""
        own = end.namespace.name if isinstance(end, Pod) else ""
        behind = self.cluster.behind.get(str(end), ()) if isinstance(end, Pod) else ()
        return Marks(
            asks=frozenset(place for place in _near(self._asking, own) if _any(self.every[place].sources, end)),
            asked=frozenset(place for place in _near(self._asked_in, own) if _any(self.every[place].targets, end)),
            behind=tuple(
                dict.fromkeys(
                    (place, str(service)) for service, _ in behind for place, _ in self._services.get(str(service), ())
                )
            ),
        )

    def about(self, source: Marks, target: Marks, end: End, connection: Connection, service: str) -> Iterator[Declared]:
        """Those that mean a connection to `end`, in their order; `service` is what it goes through, if that is known."""
        places = source.asks & (target.asked | {place for place, _ in target.behind})
        for place in sorted(places):
            one = self.every[place]
            if connection.family.value not in one.families:
                continue
            direct = not connection.via_service and place in target.asked
            if (direct and is_about(one.declared.spec.ports, end, connection.protocol, connection.port)) or any(
                (service or name) == name and self._through(one, name, end, connection)
                for known, name in target.behind
                if known == place
            ):
                yield one.declared

    def _through(self, one: One, name: str, end: End, connection: Connection) -> bool:
        """Whether it is about what one service sends to one of its endpoints, or about that endpoint by its own address."""
        ways = {target.via == "endpoints" for target in one.targets if target.service == name}
        if (not connection.via_service) not in ways:
            return False
        return any(
            backing.target_port == connection.port
            and backing.port.protocol == connection.protocol
            and asking_for(one.declared.spec.ports, backing.port)
            for service, backing in self.cluster.behind.get(str(end), ())
            if str(service) == name
        )


def _one(document: Declared) -> One:
    own, spec = document.namespace, document.spec
    return One(
        document,
        tuple(Selection(peer, own, asks=True) for peer in spec.sources or (EVERYBODY,)),
        tuple(Selection(peer, own, asks=False) for peer in spec.to),
    )


def _near(places: Mapping[str, Sequence[int]], own: str) -> list[int]:
    return [*places.get("", ()), *(places.get(own, ()) if own else ())]


def _any(selections: Sequence[Selection], end: End) -> bool:
    return any(one.selects(end) for one in selections)

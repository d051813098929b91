"""A snapshot: everything that is known to exist at one moment, whole or not at all.

Every source of discovery yields this one type. It is a value: a stage that gets one needs to ask nobody anything.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from wire.path import Port
from wire.text import Name, OptionalName

Address = Annotated[str, Meta(min_length=2, max_length=45)]
"""An IP address in text, in its shortest form."""


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """A machine of the cluster."""

    name: Name
    zone: OptionalName = ""
    addresses: tuple[Address, ...] = ()
    """Its own addresses (not those of its pods); probed on the host layer."""


class Vantage(Struct, frozen=True, forbid_unknown_fields=True):
    """A place that probes leave from, with an agent in it."""

    name: Name
    node: Name
    namespace: Name
    pod: Name
    addresses: tuple[Address, ...]
    uid: OptionalName = ""
    port: Port = 8620
    """Where it answers its peers' UDP, TCP and HTTP probes."""
    key: Annotated[str, Meta(min_length=32, max_length=512)] = field(default="")
    """Static mode: the bearer token of its agent."""

    def __repr__(self) -> str:
        """Everything but the key, so that no log ever holds it."""
        return f"Vantage({self.name!r}, node={self.node!r}, namespace={self.namespace!r}, pod={self.pod!r})"


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """A ClusterIP service to be probed."""

    name: Name
    namespace: Name
    addresses: tuple[Address, ...]
    port: Port
    probe: Annotated[str, Meta(pattern=r"^(tcp|http:/[!-~]*)\Z")] = "tcp"
    """`tcp`, or `http:` and a path."""
    endpoints: Annotated[int, Meta(ge=0)] | None = None
    """Ready endpoints behind it, None where not known."""


class External(Struct, frozen=True, forbid_unknown_fields=True):
    """A host outside of the cluster. Either `host`, which agents resolve by themselves, or `address`."""

    name: Name
    probes: Annotated[tuple[Annotated[str, Meta(max_length=1200)], ...], Meta(min_length=1, max_length=16)]
    """Each of `icmp`, `tcp:PORT`, or an http or https URL."""
    host: OptionalName = ""
    address: Annotated[str, Meta(max_length=45)] = ""


class Snapshot(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. Names are unique within their kind, and every vantage's node exists."""

    nodes: tuple[Node, ...] = ()
    vantages: tuple[Vantage, ...] = ()
    services: tuple[Service, ...] = ()
    external: tuple[External, ...] = ()

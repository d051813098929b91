"""What is behind a service: part of a snapshot."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from wire.path import Port
from wire.text import Name, OptionalName

Address = Annotated[str, Meta(min_length=2, max_length=45)]
"""An IP address in text, in its shortest form."""


class ServicePort(Struct, frozen=True, forbid_unknown_fields=True):
    """A port of a service."""

    port: Port
    """Number."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """`TCP`, which is the default, `UDP` or `SCTP`."""
    name: OptionalName = ""
    """Name, empty where there is only one."""


class Backend(Struct, frozen=True, forbid_unknown_fields=True):
    """A ready endpoint behind one port of a service."""

    addresses: tuple[Address, ...]
    """Its addresses, at least one."""
    port: Port
    """The service's port that leads to it."""
    target_port: Port
    """The port that it has there, which is what policies see."""
    pod: OptionalName = ""
    """Its pod, in the service's namespace; empty where it is none."""


class Backed(Struct, frozen=True, forbid_unknown_fields=True):
    """A service and what is behind it, whether it is probed or not: policies are about that and never about its ClusterIP."""

    namespace: Name
    """Kubernetes namespace."""
    name: Name
    """Name of the service."""
    addresses: tuple[Address, ...] = ()
    """Its ClusterIPs."""
    ports: Annotated[tuple[ServicePort, ...], Meta(max_length=64)] = ()
    backends: Annotated[tuple[Backend, ...], Meta(max_length=4096)] = ()

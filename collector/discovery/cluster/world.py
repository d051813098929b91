"""The state of the cluster as far as it is kept, and what of it is refused. Pure."""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct

from collector.discovery.cluster.kept import Namespace, Node, Pod, Service, Slice


class World(Struct, frozen=True):
    """Everything that is kept, at one moment."""

    nodes: Collection[Node] = ()
    namespaces: Collection[Namespace] = ()
    pods: Collection[Pod] = ()
    services: Collection[Service] = ()
    slices: Collection[Slice] = ()


class Because(StrEnum):
    """Why an object, or a part of one, is left out."""

    ANNOTATION = "annotation"
    """It asks for something that is no probe."""
    ADDRESS = "address"
    """It leads to where nothing may be sent."""
    API_SERVER = "api_server"
    """It leads to the API server, and is not its own service."""
    NAMESPACE = "namespace"
    """Its namespace does not ask for vantages."""
    PORT = "port"
    """It has no port that can be probed."""
    TOO_MANY = "too_many"
    """As many as may be are probed already."""


class Refused(Struct, frozen=True):
    """An object that is left out, or a part of it."""

    kind: str
    """As the API calls it, such as `Service`."""
    namespace: str
    name: str
    uid: str
    because: Because
    sentence: str
    """What is wrong, with nothing unprintable in it."""


def refused(of: Pod | Service, because: Because, sentence: str) -> Refused:
    """The refusal of an object; whatever its owner wrote is made harmless."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in sentence[:300])
    return Refused(type(of).__name__, of.namespace, of.name, of.uid, because, shown)

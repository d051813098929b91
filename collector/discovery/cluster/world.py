"""The state of the cluster as far as it is kept, and what of it is refused. Pure."""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct

from collector.discovery.cluster.kept import Namespace, Node, Pod, Service, Slice
from collector.discovery.cluster.policies import Unreadable
from collector.expectation.document import Declared
from collector.policy.rules import Opaque, Policy

CONFIG_MAP = "netmatrix"
"""Name of the ConfigMap that the collector's file is from."""


class World(Struct, frozen=True):
    """Everything that is kept, at one moment."""

    nodes: Collection[Node] = ()
    namespaces: Collection[Namespace] = ()
    pods: Collection[Pod] = ()
    services: Collection[Service] = ()
    slices: Collection[Slice] = ()
    others: Collection[Pod] = ()
    """Pods without an agent."""
    policies: Collection[Policy | Opaque] = ()
    policies_read: bool = True
    """Whether all of them are known."""
    expectations: Collection[Declared | Unreadable] = ()
    profile: str = "generic"
    """Name of the network plugin."""


class Because(StrEnum):
    """Why an object, or a part of one, is left out."""

    ANNOTATION = "annotation"
    """It asks for something that is no probe."""
    ADDRESS = "address"
    """It leads to where nothing may be sent."""
    API_SERVER = "api_server"
    """It leads to the API server, and is not its own service."""
    EXPECTATION = "expectation"
    """It says what it expects in a way that is not understood."""
    NAMESPACE = "namespace"
    """Its namespace does not ask for vantages."""
    PORT = "port"
    """It has no port that can be probed."""
    TOO_MANY = "too_many"
    """As many as may be are probed already."""


class Notice(Struct, frozen=True):
    """What is to be said at an object."""

    kind: str
    """As the API calls it, such as `Service`."""
    namespace: str
    name: str
    uid: str
    """Empty where it is not known yet."""
    sentence: str
    """With nothing unprintable in it."""
    reason: str = "NotProbed"
    """One word, of an Event."""


class Refused(Notice, frozen=True, kw_only=True):
    """An object that is left out, or a part of it; its sentence says what is wrong."""

    because: Because


def refused(of: Pod | Service, because: Because, sentence: str) -> Refused:
    """The refusal of an object; whatever its owner wrote is made harmless."""
    return Refused(type(of).__name__, of.namespace, of.name, of.uid, _shown(sentence), because=because)


def not_understood(one: Unreadable) -> Refused:
    """The refusal of an expectation; an Event on what is in no namespace is in `default`."""
    because = Because.EXPECTATION
    return Refused(one.kind, one.namespace or "default", one.name, one.uid, _shown(one.because), "NotExpected", because=because)


def misconfigured(namespace: str, sentence: str) -> Notice:
    """What is wrong with the ConfigMap in the collector's namespace."""
    return Notice("ConfigMap", namespace, CONFIG_MAP, "", _shown(sentence), "ConfigurationRefused")


def _shown(sentence: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in sentence[:300])

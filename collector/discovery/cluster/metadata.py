"""What the API sends of every object, as far as it is read: names, labels and annotations."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from sys import intern

from msgspec import Struct, field

from collector.derivation import OPT_OUT
from collector.discovery.cluster.kept import NOTHING
from collector.policy.isolation import ISOLATION, NETWORK, SERVICE_ISOLATION
from wire.text import MAX_NAME, NAME_PATTERN, Name, OptionalName

MAX_ANNOTATION = 2048
"""Longest annotation that is looked at; a longer one is nonsense, and is cut so that it shows as such."""
MAX_NETWORKS_TEXT = 16_384
"""The same for the list of a pod's networks, which others write."""
MAX_LABELS_TEXT = 65_536
"""Characters of all labels of an object, or of a selector: one with more is left out. The API takes more than a megabyte."""

ZONE = "topology.kubernetes.io/zone"
SERVICE_NAME = "kubernetes.io/service-name"
PROBE = "netmatrix.io/probe"
VANTAGE = "netmatrix.io/vantage"
NETWORKS = "k8s.v1.cni.cncf.io/network-status"
COMPONENT = "app.kubernetes.io/component"
APP = "app.kubernetes.io/name"
OWN_APP = "netmatrix"

_NAME = re.compile(NAME_PATTERN)
REMEMBERED = 16_384
"""Labels that are kept once for all objects that have the same."""
REMEMBERED_TEXT = 4096
"""Longest of them in characters: what is remembered stays for long after the object has others."""
LONGEST_KEY, LONGEST_VALUE = 317, 63
"""In characters, of a label; the API takes no longer one."""


class Labels(Struct):
    """Labels that mean something to us."""

    service: OptionalName = field(default="", name=SERVICE_NAME)
    app: str = field(default="", name="k8s-app")
    openshift_dns: str = field(default="", name="dns.operator.openshift.io/owning-dns")


class Annotations(Struct):
    """Annotations that mean something to us."""

    probe: str = field(default="", name=PROBE)
    networks: str = field(default="", name=NETWORKS)
    isolation: str | None = field(default=None, name=ISOLATION)
    service_isolation: str | None = field(default=None, name=SERVICE_ISOLATION)
    network: str | None = field(default=None, name=NETWORK)
    derive: str | None = field(default=None, name=OPT_OUT)


class Metadata(Struct):
    """What stands in every object."""

    name: Name
    namespace: OptionalName = ""
    uid: OptionalName = ""
    labels: Labels | None = None
    annotations: Annotations | None = None


class Labelled(Struct):
    """Of an object whose labels policies and expectations may ask for."""

    name: Name
    namespace: OptionalName = ""
    uid: OptionalName = ""
    labels: dict[str, str] | None = None
    annotations: Annotations | None = None
    created: str = field(default="", name="creationTimestamp")
    deleted: str | None = field(default=None, name="deletionTimestamp")


class Condition(Struct):
    """One of the things that are said of an object's state."""

    type: str
    status: str
    since: str | None = field(default=None, name="lastTransitionTime")


def shared(labels: Mapping[str, str] | None) -> Mapping[str, str]:
    """The labels, as the one mapping that all objects with the same have: of a DaemonSet's pods there are thousands.

    Raises ValueError where they are longer than any that mean something.
    """
    if not labels:
        return NOTHING
    length = sum(len(key) + len(value) for key, value in labels.items())
    if length > MAX_LABELS_TEXT:
        raise ValueError(f"labels of {length} characters, more than {MAX_LABELS_TEXT}")
    items = tuple(sorted(labels.items()))
    return _remembered(items) if length <= REMEMBERED_TEXT else _kept(items)


def _kept(labels: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return {intern(key): intern(value) for key, value in labels if len(key) <= LONGEST_KEY and len(value) <= LONGEST_VALUE}


_remembered = lru_cache(maxsize=REMEMBERED)(_kept)


def told_by(seen: Annotations | None) -> Mapping[str, str]:
    """Annotations that say something of reachability."""
    if seen is None:
        return NOTHING
    found = {ISOLATION: seen.isolation, SERVICE_ISOLATION: seen.service_isolation, NETWORK: seen.network, OPT_OUT: seen.derive}
    return {key: value[:MAX_ANNOTATION] for key, value in found.items() if value is not None} or NOTHING


def fit(name: str) -> str:
    """A name that somebody wrote, empty where it is not of the form that a name of ours has."""
    return name if len(name) <= MAX_NAME and _NAME.match(name) else ""


def seconds_of(time: str | None) -> float:
    """Unix seconds of a time of the API (RFC 3339); 0 where there is none."""
    try:
        return datetime.fromisoformat(time).timestamp() if time else 0.0
    except ValueError:
        return 0.0

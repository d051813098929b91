"""Why the API server would refuse a policy, beyond the types of its fields (pkg/apis/networking/validation).

In: a NetworkPolicy or ClusterNetworkPolicy of a file. Out: the path of each field that is wrong, and a sentence. A policy
that is refused is not in force, so that whatever it was to close is open.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

Complaint = tuple[str, str]

_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
"""RFC 6335 section 5.1."""
_LONGEST_NAME: Final = 253
_PEERS: Final = {"ingress": "from", "egress": "to"}
_SELECTORS: Final = ("podSelector", "namespaceSelector", "pods", "namespaces", "nodes")


def refused_by_api(document: Mapping[str, Any]) -> Iterator[Complaint]:
    """What the API server would say of a document whose types are right."""
    metadata = document.get("metadata") or {}
    name, namespace = str(metadata.get("name") or ""), metadata.get("namespace")
    if len(name) > _LONGEST_NAME or not _SUBDOMAIN.fullmatch(name):
        yield "metadata.name", f"{name[:64]!r} is not a name: lower case letters, digits, - and ."
    if namespace is not None and not _LABEL.fullmatch(str(namespace)):
        yield "metadata.namespace", f"{str(namespace)[:64]!r} is not the name of a namespace"
    spec = document.get("spec")
    if not isinstance(spec, Mapping):
        return
    yield from _selectors("spec", spec)
    namespaced = document.get("kind") == "NetworkPolicy"
    if namespaced and len(spec.get("policyTypes") or ()) > len(_PEERS):
        yield "spec.policyTypes", "more than two"
    for word, peers in _PEERS.items():
        for place, rule in enumerate(_list(spec, word)):
            where = f"spec.{word}[{place}]"
            for number, port in enumerate(_list(rule, "ports")):
                yield from _of_port(f"{where}.ports[{number}]", port)
            for number, peer in enumerate(_list(rule, peers)):
                yield from _of_peer(f"{where}.{peers}[{number}]", peer, namespaced=namespaced)


def _of_port(path: str, port: Mapping[str, Any]) -> Iterator[Complaint]:
    name = port.get("port")
    if isinstance(name, str) and not _PORT_NAME.fullmatch(name):
        yield f"{path}.port", f"{name[:64]!r} is neither a number nor the name of a port"


def _of_peer(path: str, peer: Mapping[str, Any], *, namespaced: bool) -> Iterator[Complaint]:
    if namespaced and not any(peer.get(key) is not None for key in ("podSelector", "namespaceSelector", "ipBlock")):
        yield path, "needs a podSelector, a namespaceSelector or an ipBlock"
    yield from _selectors(path, peer)
    block = peer.get("ipBlock")
    if isinstance(block, Mapping):
        yield from _of_block(f"{path}.ipBlock", block)


def _of_block(path: str, block: Mapping[str, Any]) -> Iterator[Complaint]:
    cidr = str(block.get("cidr"))
    if "/" not in cidr:
        yield f"{path}.cidr", f"{cidr[:64]!r} is not a CIDR, which has a prefix length"
        return
    network = ip_network(cidr, strict=False)
    for place, text in enumerate(_list(block, "except")):
        where = f"{path}.except[{place}]"
        if "/" not in text:
            yield where, f"{text[:64]!r} is not a CIDR, which has a prefix length"
            continue
        inner = ip_network(text, strict=False)
        within = inner.version == network.version and inner.subnet_of(network)  # type: ignore[arg-type]
        if not within or inner.prefixlen <= network.prefixlen:
            yield where, f"{text} is not a part of {cidr}"


def _selectors(path: str, owner: Mapping[str, Any]) -> Iterator[Complaint]:
    """Of every label selector under these keys, those inside of `pods` included."""
    for key in ("subject", *_SELECTORS):
        inner = owner.get(key)
        if not isinstance(inner, Mapping):
            continue
        where = f"{path}.{key}"
        yield from _selectors(where, inner)
        for label, value in (inner.get("matchLabels") or {}).items():
            yield from _of_label(f"{where}.matchLabels", str(label))
            yield from _of_value(f"{where}.matchLabels.{label}", str(value))
        for place, one in enumerate(_list(inner, "matchExpressions")):
            yield from _of_expression(f"{where}.matchExpressions[{place}]", one)


def _of_expression(path: str, one: Mapping[str, Any]) -> Iterator[Complaint]:
    operator, values = one.get("operator"), _list(one, "values")
    yield from _of_label(f"{path}.key", str(one.get("key")))
    if operator in {"In", "NotIn"}:
        if not values:
            yield f"{path}.values", f"{operator} needs a value or more"
        for place, value in enumerate(values):
            yield from _of_value(f"{path}.values[{place}]", str(value))
    elif values:
        yield f"{path}.values", f"{operator} takes no values"


def _of_label(path: str, key: str) -> Iterator[Complaint]:
    prefix, slash, name = key.rpartition("/")
    wrong_prefix = slash and (len(prefix) > _LONGEST_NAME or not _SUBDOMAIN.fullmatch(prefix))
    if wrong_prefix or not _LABEL_NAME.fullmatch(name):
        yield path, f"{key[:64]!r} is not the key of a label"


def _of_value(path: str, value: str) -> Iterator[Complaint]:
    if not _LABEL_VALUE.fullmatch(value):
        yield path, f"{value[:64]!r} is not the value of a label: at most 63 letters, digits, -, _ and ."


def _list(owner: Mapping[str, Any], key: str) -> Sequence[Any]:
    found = owner.get(key)
    return found if isinstance(found, list) else ()

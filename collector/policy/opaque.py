"""Which pods a policy may be about that cannot be read: by its selector where that can be, and else all in its scope. Pure.

What is not understood of a selector only ever makes it wider: a pod too many is unknown, and one too few would be guessed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from collector.policy.labels import EVERYTHING, NAME_LABEL, Requirement, Selector
from collector.policy.rules import PodPeer

Document = Mapping[str, Any]

CILIUM_NAMESPACE: Final = "io.kubernetes.pod.namespace"
CILIUM_NAMESPACE_LABEL: Final = "io.cilium.k8s.namespace.labels."
CALICO_NAMESPACE: Final = "projectcalico.org/namespace"
CALICO_NAME: Final = "projectcalico.org/name"
CALICO_OWN: Final = ("projectcalico.org/", "pcns.", "pcsa.")
"""Labels that Calico adds for itself."""


def subjects_of(group: str, kind: str, namespace: str, spec: object, more: object = None) -> tuple[PodPeer, ...]:
    """What a policy of another kind may be about; `more` are further specs of the same object. Nothing raises."""
    every = (PodPeer(namespace=namespace),)
    read = _READERS.get((group, kind))
    specs = [one for one in (spec, *(more if isinstance(more, list) else ())) if one is not None]
    if read is None or not specs:
        return every
    try:
        found = [peer for one in specs for peer in read(one, namespace)]
    except (ValueError, TypeError, AttributeError, LookupError):  # of a form that nobody described to us
        return every
    return tuple(found)


def _admin(spec: Document, _namespace: str) -> Iterator[PodPeer]:
    """AdminNetworkPolicy and BaselineAdminNetworkPolicy (policy.networking.k8s.io/v1alpha1)."""
    subject = spec["subject"]
    if (namespaces := subject.get("namespaces")) is not None:
        yield PodPeer(namespaces=_selector(namespaces))
    if (pods := subject.get("pods")) is not None:
        yield PodPeer(pods=_selector(pods.get("podSelector")), namespaces=_selector(pods.get("namespaceSelector")))


def _cilium(spec: Document, namespace: str) -> Iterator[PodPeer]:
    """CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy (cilium.io/v2); one with a nodeSelector is about no pod."""
    if "endpointSelector" not in spec and "nodeSelector" in spec:
        return
    selector = _selector(spec.get("endpointSelector"))
    pods: list[Requirement] = []
    spaces: list[Requirement] = []
    for requirement in _requirements(selector):
        source, colon, rest = requirement.key.partition(":")
        key = rest if colon and source in {"k8s", "any"} else requirement.key
        if colon and source not in {"k8s", "any"}:
            continue
        if key == CILIUM_NAMESPACE:
            spaces.append(msgspec.structs.replace(requirement, key=NAME_LABEL))
        elif key.startswith(CILIUM_NAMESPACE_LABEL):
            spaces.append(msgspec.structs.replace(requirement, key=key.removeprefix(CILIUM_NAMESPACE_LABEL)))
        elif not key.startswith("io.cilium."):
            pods.append(msgspec.structs.replace(requirement, key=key))
    yield _peer(pods, spaces, namespace)


def _calico(spec: Document, namespace: str) -> Iterator[PodPeer]:
    """NetworkPolicy and GlobalNetworkPolicy of Calico (projectcalico.org/v3), whose selectors are expressions in text."""
    pods: list[Requirement] = []
    spaces: list[Requirement] = []
    for requirement in _expression(spec.get("selector") or ""):
        if requirement.key == CALICO_NAMESPACE:
            spaces.append(msgspec.structs.replace(requirement, key=NAME_LABEL))
        elif not requirement.key.startswith(CALICO_OWN):
            pods.append(requirement)
    for requirement in _expression(spec.get("namespaceSelector") or ""):
        if requirement.key == CALICO_NAME:
            spaces.append(msgspec.structs.replace(requirement, key=NAME_LABEL))
        elif not requirement.key.startswith(CALICO_OWN):
            spaces.append(requirement)
    yield _peer(pods, spaces, namespace)


def _antrea(spec: Document, namespace: str) -> Iterator[PodPeer]:
    """NetworkPolicy and ClusterNetworkPolicy of Antrea (crd.antrea.io): what they, or their rules, are applied to."""
    applied = list(spec.get("appliedTo") or ())
    for word in ("ingress", "egress"):
        applied += [one for rule in spec.get(word) or () for one in rule.get("appliedTo") or ()]
    if not applied:
        yield PodPeer(namespace=namespace)
    for one in applied:
        if "nodeSelector" in one:
            continue
        known = set(one) <= {"podSelector", "namespaceSelector"}
        pods = _selector(one.get("podSelector")) if known else EVERYTHING
        yield PodPeer(pods=pods, namespaces=_selector(one.get("namespaceSelector")), namespace=namespace)


_READERS: Final[Mapping[tuple[str, str], Callable[[Any, str], Iterator[PodPeer]]]] = {
    ("policy.networking.k8s.io", "AdminNetworkPolicy"): _admin,
    ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"): _admin,
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"): _admin,
    ("cilium.io", "CiliumNetworkPolicy"): _cilium,
    ("cilium.io", "CiliumClusterwideNetworkPolicy"): _cilium,
    ("crd.projectcalico.org", "NetworkPolicy"): _calico,
    ("crd.projectcalico.org", "GlobalNetworkPolicy"): _calico,
    ("projectcalico.org", "NetworkPolicy"): _calico,
    ("projectcalico.org", "GlobalNetworkPolicy"): _calico,
    ("crd.antrea.io", "NetworkPolicy"): _antrea,
    ("crd.antrea.io", "ClusterNetworkPolicy"): _antrea,
}
KINDS: Final = frozenset(_READERS)
"""API group and kind of what closes and opens paths too, and cannot be read."""


def _selector(document: object) -> Selector:
    return EVERYTHING if document is None else msgspec.convert(document, Selector)


def _requirements(selector: Selector) -> Iterator[Requirement]:
    """All of a selector as expressions."""
    for key, value in (selector.match_labels or {}).items():
        yield Requirement(key, "In", (value,))
    yield from selector.match_expressions or ()


def _peer(pods: list[Requirement], spaces: list[Requirement], namespace: str) -> PodPeer:
    return PodPeer(
        pods=Selector(match_expressions=tuple(pods)) if pods else EVERYTHING,
        namespaces=Selector(match_expressions=tuple(spaces)) if spaces else EVERYTHING,
        namespace=namespace,
    )


_KEY = r"(?P<key>[A-Za-z0-9_./-]+)"
_ONE = re.compile(rf"""{_KEY}\s*(?P<sign>==|!=)\s*(?P<quote>["'])(?P<value>[^"']*)(?P=quote)""")
_SET = re.compile(rf"""{_KEY}\s+(?P<sign>in|not\s+in)\s*\{{(?P<values>[^{{}}]*)\}}""")
_HAS = re.compile(rf"(?P<sign>!?)\s*has\(\s*{_KEY}\s*\)")


def _expression(text: str) -> Iterator[Requirement]:
    """The terms of an expression that must all hold, as far as they are understood; of one with alternatives, none."""
    if "||" in text:
        return
    for term in (part.strip() for part in text.split("&&")):
        if one := _ONE.fullmatch(term):
            yield Requirement(one["key"], "In" if one["sign"] == "==" else "NotIn", (one["value"],))
        elif one := _SET.fullmatch(term):
            values = tuple(value.strip().strip("\"'") for value in one["values"].split(",") if value.strip())
            yield Requirement(one["key"], "In" if one["sign"] == "in" else "NotIn", values)
        elif one := _HAS.fullmatch(term):
            yield Requirement(one["key"], "DoesNotExist" if one["sign"] else "Exists")

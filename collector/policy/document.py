"""From an object of Kubernetes to the policy that it is, or to one that cannot be read.

In: an object as the API or a file has it. Out: a Policy, or an Opaque for a kind that is not understood. What the API server
would not take, or has a field that is not known here, is an error: what it means is never guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, field

from collector.document import bad, refusal, strangers
from collector.policy import cluster_network_policy as cluster
from collector.policy import network_policy as namespaced
from collector.policy.opaque import subjects_of
from collector.policy.rules import Opaque, Policy


class _Metadata(Struct, frozen=True):
    name: str
    namespace: str = ""


class _Head(Struct, frozen=True):
    version: str = field(name="apiVersion")
    kind: str
    metadata: _Metadata


class Reader(NamedTuple):
    """A kind that is understood."""

    spec: type[Struct]
    read: Callable[[Mapping[str, Any]], Policy]


READERS: Final[Mapping[tuple[str, str], Reader]] = {
    ("networking.k8s.io", "NetworkPolicy"): Reader(namespaced.Spec, namespaced.network_policy),
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"): Reader(cluster.Spec, cluster.cluster_network_policy),
}
"""By API group and kind."""


def policy_of(document: Mapping[str, Any]) -> Policy | Opaque:
    """The policy that an object describes; raises ValueError: `spec.ingres: unknown key; allowed are egress, ingress, ...`."""
    try:
        head = msgspec.convert(document, _Head)
        reader = READERS.get((head.version.rpartition("/")[0], head.kind))
        if reader is None:
            return opaque_of(document)
        for path, sentence in strangers(document.get("spec"), reader.spec, "spec"):
            raise bad("", path, sentence)
        return reader.read(document)
    except msgspec.ValidationError as error:
        raise refusal("", error, document) from None


def opaque_of(document: Mapping[str, Any], because: str = Opaque("", "").because) -> Opaque:
    """The same where it cannot be read, with the pods that it may be about; raises ValueError where it is no object."""
    head = msgspec.convert(document, _Head)
    group, name = head.version.rpartition("/")[0], head.metadata
    subjects = subjects_of(group, head.kind, name.namespace, document.get("spec"), document.get("specs"))
    return Opaque(head.kind, name.name, name.namespace, subjects, because)

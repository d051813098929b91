"""What the API server says of a token: the request for a review, and what its answer proves.

Pure. Pod, node and ServiceAccount are taken from the answer and from nowhere else.
"""

from typing import Any

import msgspec
from msgspec import Struct

from collector.admission import Refusal

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_EXTRA = "authentication.kubernetes.io/"
_ACCOUNT = "system:serviceaccount:"


class _User(Struct, frozen=True):
    username: str = ""
    extra: dict[str, list[str]] = {}


class _Status(Struct, frozen=True):
    authenticated: bool = False
    user: _User = _User()
    audiences: list[str] = []


class _Review(Struct, frozen=True):
    status: _Status


class Reviewed(Struct, frozen=True):
    """A valid token of our audience that is bound to a pod."""

    namespace: str
    account: str
    """Name of the ServiceAccount."""
    pod: str
    uid: str
    node: str


def request_of(token: str, audience: str) -> dict[str, Any]:
    """The TokenReview to create: whether the token is valid, and for us."""
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [audience]},
    }


def reviewed(answer: bytes, audience: str) -> Reviewed | Refusal:
    """What a TokenReview says; raises ValueError where the answer is none."""
    status = msgspec.json.decode(answer, type=_Review).status
    if not status.authenticated:
        return Refusal.UNKNOWN_TOKEN
    if audience not in status.audiences:  # whoever reviewed it does not know of audiences
        return Refusal.OTHER_AUDIENCE
    if not status.user.username.startswith(_ACCOUNT):
        return Refusal.OTHER_ACCOUNT
    namespace, _, account = status.user.username.removeprefix(_ACCOUNT).partition(":")
    pod, uid, node = (_only(status.user.extra, name) for name in ("pod-name", "pod-uid", "node-name"))
    if not (pod and uid and node):
        return Refusal.UNBOUND_TOKEN
    return Reviewed(namespace=namespace, account=account, pod=pod, uid=uid, node=node)


def _only(extra: dict[str, list[str]], name: str) -> str:
    values = extra.get(_EXTRA + name, [])
    return values[0] if len(values) == 1 else ""

"""What the API server says of a token, and of what its holder may: the requests for reviews, and what their answers prove.

Pure. Pod, node and ServiceAccount are taken from the answer and from nowhere else.
"""

from typing import Any

import msgspec
from msgspec import Struct

from collector.admission import Refusal

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_EXTRA = "authentication.kubernetes.io/"
_ACCOUNT = "system:serviceaccount:"


class User(Struct, frozen=True):
    """Whoever has a valid token, as the API server names them."""

    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class _Status(Struct, frozen=True):
    authenticated: bool = False
    user: User = User()
    audiences: list[str] = []


class _Review(Struct, frozen=True):
    status: _Status


class _Access(Struct, frozen=True):
    allowed: bool = False
    denied: bool = False


class _AccessReview(Struct, frozen=True):
    status: _Access


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
    user = user_of(answer, audience)
    if isinstance(user, Refusal):
        return user
    if not user.username.startswith(_ACCOUNT):
        return Refusal.OTHER_ACCOUNT
    namespace, _, account = user.username.removeprefix(_ACCOUNT).partition(":")
    pod, uid, node = (_only(user.extra, name) for name in ("pod-name", "pod-uid", "node-name"))
    if not (pod and uid and node):
        return Refusal.UNBOUND_TOKEN
    return Reviewed(namespace=namespace, account=account, pod=pod, uid=uid, node=node)


def user_of(answer: bytes, audience: str) -> User | Refusal:
    """Whose a token is, by a TokenReview; raises ValueError where the answer is none."""
    status = msgspec.json.decode(answer, type=_Review).status
    if not status.authenticated:
        return Refusal.UNKNOWN_TOKEN
    if audience not in status.audiences:  # whoever reviewed it does not know of audiences
        return Refusal.OTHER_AUDIENCE
    return status.user if status.user.username else Refusal.UNKNOWN_TOKEN


def access_request_of(user: User, *, group: str, resource: str, verb: str, namespace: str) -> dict[str, Any]:
    """The SubjectAccessReview to create: whether this user may do that in a namespace."""
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups,
            "extra": user.extra,
            "resourceAttributes": {"group": group, "resource": resource, "verb": verb, "namespace": namespace},
        },
    }


def allowed(answer: bytes) -> bool:
    """What a SubjectAccessReview says; raises ValueError where the answer is none."""
    status = msgspec.json.decode(answer, type=_AccessReview).status
    return status.allowed and not status.denied


def _only(extra: dict[str, list[str]], name: str) -> str:
    values = extra.get(_EXTRA + name, [])
    return values[0] if len(values) == 1 else ""

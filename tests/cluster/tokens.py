"""Tokens of ServiceAccounts: asked for as a kubelet does, reviewed as a server does, and changed under the issuer's own key."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.cluster.api import Api, Object

AUDIENCE = "netmatrix-collector"
_HALF = 32
"""Bytes of each number of an ES256 signature, RFC 7518 section 3.4."""


def token_for_pod(api: Api, pod: Object, *, audience: str = AUDIENCE, seconds: int = 3600) -> str:
    """A token of a pod's ServiceAccount that is bound to the pod, as in its projected volume; 600 seconds are the least."""
    metadata = pod["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    account = pod["spec"]["serviceAccountName"]
    return token(api, metadata["namespace"], account, audience=audience, seconds=seconds, bound=bound)


def token(
    api: Api, namespace: str, account: str, *, audience: str = "", seconds: int = 3600, bound: Object | None = None
) -> str:
    """A token of a ServiceAccount: for the API server itself where no audience is given."""
    spec: Object = {"expirationSeconds": seconds, "audiences": [audience] if audience else []}
    if bound:
        spec["boundObjectRef"] = bound
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    answer = api.create(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    return str(answer["status"]["token"])


def review(api: Api, token: str, *audiences: str) -> Object:
    """The status of a TokenReview."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": list(audiences)},
    }
    status: Object = api.create("/apis/authentication.k8s.io/v1/tokenreviews", body)["status"]
    return status


def claims(token: str) -> dict[str, Any]:
    """What a token claims."""
    found: dict[str, Any] = json.loads(_decoded(token.split(".")[1]))
    return found


def signed_again(token: str, key: ec.EllipticCurvePrivateKey, **changed: object) -> str:
    """The same token with other claims, such as `exp=0`, under the issuer's own signature (RFC 7515, ES256)."""
    head = token.partition(".")[0]
    unsigned = f"{head}.{_encoded(json.dumps(claims(token) | changed).encode())}"
    numbers = decode_dss_signature(key.sign(unsigned.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{unsigned}.{_encoded(b''.join(number.to_bytes(_HALF, 'big') for number in numbers))}"


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

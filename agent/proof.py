"""Proofs of belonging: messages that only an agent of the same cluster can have written.

In: group keys and what is to be vouched for. Out: MACs, and verdicts about MACs of others. Every MAC is HMAC-SHA-256 (RFC 2104)
truncated to 128 bits and is compared in constant time. A proof is bound to its nonce and its purpose, so that a request never
passes as an answer; it hides nothing, and no key or MAC is ever part of an error or a log.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from wire.plan import GroupKey
from wire.text import MAX_NAME, NAME_PATTERN

MAC_BYTES = 16
"""Length of a truncated MAC, the same as in RFC 8762 section 4.2.2 and RFC 8972 section 4.8."""
_BLOCK_BYTES = 64  # of SHA-256, which no key of ours is longer than
NONCE_BYTES = 8
HTTP_HEADER = "Netmatrix-Proof"
"""Header of a request: `epoch.nonce.uid.mac`, the epoch in decimal, the others in hexadecimal."""

_HTTP_HEADER = re.compile(
    rf"([0-9]{{1,10}})\.([0-9a-f]{{{2 * NONCE_BYTES}}})\.((?:[0-9a-f]{{2}})*)\.([0-9a-f]{{{2 * MAC_BYTES}}})"
)
_MAX_HEADER = 10 + 1 + 2 * NONCE_BYTES + 1 + 2 * MAX_NAME + 1 + 2 * MAC_BYTES
_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Verified:
    """A request that proved to come from a colleague; what the answer's proof is made from."""

    key: GroupKey
    nonce: bytes
    uid: str
    """UID of the asking pod; empty where it has none."""


def mac(key: GroupKey, message: bytes) -> bytes:
    """The 16-byte MAC of a message."""
    inner_copy, outer_copy = _keyed(key.key)
    inner, outer = inner_copy(), outer_copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()[:MAC_BYTES]


@lru_cache(4)
def _keyed(key: bytes) -> "list[Callable[[], hashlib._Hash]]":
    """Copies of both hashes of HMAC with the key in them (RFC 2104 section 4): to copy them takes a third of making them."""
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    return [hashlib.sha256(bytes(byte ^ pad for byte in padded)).copy for pad in (0x36, 0x5C)]


def signer(keys: Iterable[GroupKey], epoch: int, message: bytes, given: bytes) -> GroupKey | None:
    """The key of this epoch under which `given` is the MAC of the message; None where there is none."""
    for key in keys:
        if key.epoch == epoch and hmac.compare_digest(mac(key, message), given):
            return key
    return None


def http_request_proof(key: GroupKey, uid: str, nonce: bytes, method: str, path: str) -> str:
    """Value of the HTTP_HEADER of a request; `nonce` is 8 fresh random bytes, `uid` that of the asking pod."""
    given = mac(key, _bound("request", nonce, uid, method, path))
    return f"{key.epoch}.{nonce.hex()}.{uid.encode().hex()}.{given.hex()}"


def verify_http_request(header: str, keys: Iterable[GroupKey], method: str, path: str) -> Verified | None:
    """What a request's header proves for this method and path (as on the request line); None where it proves nothing."""
    match = _HTTP_HEADER.fullmatch(header) if len(header) <= _MAX_HEADER else None
    if match is None:
        return None
    nonce = bytes.fromhex(match[2])
    try:
        uid = bytes.fromhex(match[3]).decode("ascii")
    except UnicodeDecodeError:
        return None
    if uid and not _NAME.fullmatch(uid):
        return None
    key = signer(keys, int(match[1]), _bound("request", nonce, uid, method, path), bytes.fromhex(match[4]))
    return Verified(key, nonce, uid) if key else None


def http_answer_proof(request: Verified, uid: str) -> str:
    """Hexadecimal proof in the answer that the pod with this UID gave it to this very request."""
    return mac(request.key, _bound("answer", request.nonce, uid)).hex()


def verify_http_answer(proof: str, key: GroupKey, nonce: bytes, uid: str) -> bool:
    """Whether an answer's `proof` shows that the pod with `uid` answered the request that had this key and nonce."""
    expected = mac(key, _bound("answer", nonce, uid)).hex()
    return hmac.compare_digest(expected.encode(), proof.encode("utf-8", "replace"))


def _bound(purpose: str, nonce: bytes, *words: str) -> bytes:
    # Lengths before contents, so that no two lists of words have the same bytes.
    fields = [f"netmatrix http {purpose}".encode(), nonce, *(word.encode("utf-8", "surrogatepass") for word in words)]
    return b"".join(len(content).to_bytes(4, "big") + content for content in fields)

"""Group keys: with them agents prove to each other that a probe is a colleague's.

In a cluster they follow from the secrets that are kept with the authority, of which each epoch has one. Else they are derived
from the secret of the inventory, or where it has none from the keys of all vantages, so that nothing more needs to be kept.
Then a restarted collector hands out the same only while the inventory has the vantages that it had at the start before: with
others all keys change at once, and udp probes between agents fail until both have the plan of the new process. No agent can
compute another epoch's key, since each knows one vantage's key only.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable

from wire.plan import GroupKey

PHASE_SECONDS = 1800
"""Plans get other keys this often; an epoch is two phases long."""


def group_secret(words: Iterable[str]) -> bytes:
    """The secret behind all group keys: HKDF-Extract (RFC 5869) over the digests of secret words, in any order."""
    digests = sorted(hashlib.sha256(word.encode()).digest() for word in words)
    return hmac.digest(b"netmatrix group secret 1", b"".join(digests), "sha256")


def phase_of(unix_seconds: float) -> int:
    """The phase that a time falls into."""
    return int(unix_seconds) // PHASE_SECONDS


def group_keys(secret: bytes | Callable[[int], bytes], phase: int) -> tuple[GroupKey, GroupKey]:
    """The two keys of a plan made in this phase: the one to sign with, and another to accept.

    They follow from a secret, the same for all epochs or one that tells by the epoch.

    In the first half of epoch e they are (e, e - 1), in the second (e, e + 1). Plans never reach all agents at once, and in
    this order of phases the agents with the plan of one phase and those with the next always have the key that the others
    sign with: a key is spread before it is used and kept after.
    """
    epoch, second_half = divmod(phase, 2)
    return _group_key(secret, epoch), _group_key(secret, epoch + 1 if second_half else epoch - 1)


def _group_key(secret: bytes | Callable[[int], bytes], epoch: int) -> GroupKey:
    """HKDF-Expand (RFC 5869) to 128 bits with the epoch as its context."""
    epoch %= 2**32
    key = hmac.digest(
        secret if isinstance(secret, bytes) else secret(epoch),
        b"netmatrix group key" + epoch.to_bytes(4, "big") + b"\x01",
        "sha256",
    )[:16]
    return GroupKey(epoch=epoch, key=key)

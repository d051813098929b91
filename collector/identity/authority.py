"""The authority that agents trust the collector by, and the secrets of their group keys: what is kept, and when it changes.

Pure: times are Unix seconds and come in. Out: another authority, where it is time for one. A successor is made long before it
is needed, is trusted for a day before it signs, and the one before it stays trusted until it ends; so whoever reads the bundle
at least once a day is never locked out, and neither is an agent while a collector restarts.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography.x509 import Certificate

from collector.identity.certificates import Pair, authority_pair, pem_of, read_authority, read_certificates
from collector.plan.keys import PHASE_SECONDS

_DAY = 86_400.0
AUTHORITY_SECONDS = 730 * _DAY
SUCCEEDED_SECONDS = 180 * _DAY
"""An authority with less than this left is given a successor."""
SPREAD_SECONDS = _DAY
"""How long a successor is trusted before it signs."""
EPOCH_SECONDS = 2 * PHASE_SECONDS
SECRET_EPOCHS = 30 * 24
"""A secret of the group keys is followed by another after this many epochs."""
AHEAD_EPOCHS = 24
"""So many epochs before it is used, so that collectors that run at the same time all have it by then."""
SECRET_BYTES = 32
_REQUIRED = ("ca.crt", "ca.key", "group-secrets")
NAMES = frozenset({*_REQUIRED, "next.crt", "next.key", "retired.crt"})
"""What an authority is kept under."""


class AuthorityError(ValueError):
    """What is kept is not an authority; the text says why in one sentence."""


@dataclass(frozen=True, slots=True)
class EpochSecret:
    """What the group keys follow from, from an epoch on."""

    since: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """All that a collector must find again after a restart."""

    signer: Pair
    """Signs now."""
    successor: Pair | None = None
    retired: tuple[Certificate, ...] = ()
    """Signed before."""
    secrets: tuple[EpochSecret, ...] = ()
    """In the order of their epochs; never empty."""

    def trusted(self) -> tuple[Certificate, ...]:
        """The certificates by which what it signed, signs or will sign is trusted."""
        successor = (self.successor.certificate,) if self.successor else ()
        return (self.signer.certificate, *successor, *self.retired)

    def secret(self, epoch: int) -> bytes:
        """What the group key of an epoch follows from."""
        return next((one.secret for one in reversed(self.secrets) if one.since <= epoch), self.secrets[0].secret)


def made(now: float) -> Authority:
    """A new one."""
    secret = EpochSecret(_epoch(now), os.urandom(SECRET_BYTES))
    return Authority(authority_pair(now=now, seconds=AUTHORITY_SECONDS), secrets=(secret,))


def advanced(authority: Authority, now: float) -> Authority:
    """What it should be now; the same object where nothing is to be done."""
    signer, successor = authority.signer, authority.successor
    if successor is None and signer.expires - now < SUCCEEDED_SECONDS:
        successor = authority_pair(now=now, seconds=AUTHORITY_SECONDS)
        authority = replace(authority, successor=successor)
    if successor is not None and (now - successor.made >= SPREAD_SECONDS or signer.expires <= now):
        authority = replace(authority, signer=successor, successor=None, retired=(signer.certificate, *authority.retired))
    retired = tuple(one for one in authority.retired if one.not_valid_after_utc.timestamp() > now)
    if retired != authority.retired:
        authority = replace(authority, retired=retired)
    return _with_secrets(authority, _epoch(now))


def _with_secrets(authority: Authority, epoch: int) -> Authority:
    secrets = authority.secrets
    if epoch + AHEAD_EPOCHS - secrets[-1].since >= SECRET_EPOCHS:
        secrets = (*secrets, EpochSecret(epoch + AHEAD_EPOCHS, os.urandom(SECRET_BYTES)))
    while len(secrets) > 1 and secrets[1].since < epoch - 1:  # plans with the keys of the epoch before are still in force
        secrets = secrets[1:]
    return authority if secrets == authority.secrets else replace(authority, secrets=secrets)


def written(authority: Authority) -> dict[str, str]:
    """What is kept of it, by name."""
    kept = {
        "ca.crt": authority.signer.certificate_pem,
        "ca.key": authority.signer.key_pem,
        "group-secrets": "".join(f"{one.since} {one.secret.hex()}\n" for one in authority.secrets),
    }
    if authority.successor:
        kept |= {"next.crt": authority.successor.certificate_pem, "next.key": authority.successor.key_pem}
    if authority.retired:
        kept["retired.crt"] = "".join(map(pem_of, authority.retired))
    return kept


def read(kept: Mapping[str, str]) -> Authority:
    """The authority that `written` wrote; raises AuthorityError."""
    missing = [name for name in _REQUIRED if name not in kept]
    if missing:
        raise AuthorityError(f"{missing[0]} is missing")
    signer = _pair(kept, "ca")
    successor = _pair(kept, "next") if "next.crt" in kept or "next.key" in kept else None
    try:
        retired = read_certificates(kept["retired.crt"]) if "retired.crt" in kept else ()
    except ValueError:
        raise AuthorityError("retired.crt holds something else than certificates of authorities in PEM") from None
    return Authority(signer, successor, retired, _secrets(kept["group-secrets"]))


def _pair(kept: Mapping[str, str], name: str) -> Pair:
    try:
        return read_authority(kept.get(f"{name}.crt", ""), kept.get(f"{name}.key", ""))
    except ValueError as error:
        raise AuthorityError(f"{name}.crt and {name}.key {error}") from None


def _secrets(text: str) -> tuple[EpochSecret, ...]:
    try:
        secrets = tuple(
            EpochSecret(int(since), bytes.fromhex(secret)) for since, secret in (line.split(" ") for line in text.splitlines())
        )
    except ValueError:
        secrets = ()
    since = [one.since for one in secrets]
    if not secrets or since != sorted(set(since)) or any(len(one.secret) != SECRET_BYTES for one in secrets):
        raise AuthorityError(f"group-secrets must be lines of an epoch and {SECRET_BYTES} bytes in hexadecimal, in order")
    return secrets


def _epoch(now: float) -> int:
    return int(now // EPOCH_SECONDS)

"""Hosts outside of the cluster and how they are asked over HTTP, as people write them in an inventory or a configuration."""

from typing import Annotated

from msgspec import Meta, Struct

from wire.text import Name, OptionalName


class HttpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked and expected over HTTP beyond the path; each as in `wire.path.Http`, and its default where left out."""

    method: str | None = None
    host: str | None = None
    """Name for the Host header, for SNI and for verifying the certificate."""
    authority: str | None = None
    """Host header where it must differ from `host`."""
    expect_status: str | None = None
    """Such as `200,3xx`."""
    body_contains: str | None = None
    """Text that must stand in the first 64 KiB of the body."""
    verify: bool | None = None
    """Verify the certificate chain and name."""


class HttpProbe(HttpOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A probe of an external target over HTTP, in full."""

    url: Annotated[str, Meta(max_length=1200)]


class External(Struct, frozen=True, forbid_unknown_fields=True):
    """A host outside of the cluster. Either `host`, which agents resolve by themselves, or `address`."""

    name: Name
    probes: Annotated[tuple[Annotated[str, Meta(max_length=1200)] | HttpProbe, ...], Meta(min_length=1, max_length=16)]
    """Each of `icmp`, `tcp:PORT`, an http or https URL, or such a URL with options."""
    host: OptionalName = ""
    address: Annotated[str, Meta(max_length=45)] = ""
    critical: bool = False
    """As of a service."""

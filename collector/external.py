"""Hosts outside of the cluster and how they are asked over HTTP, as people write them in an inventory or a configuration."""

from typing import Annotated

from msgspec import Meta, Struct

from wire.text import Name, OptionalName


class HttpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked and expected over HTTP beyond the path; each as in `wire.path.Http`, and its default where left out."""

    method: str | None = None
    """`GET`, which is the default, or `HEAD`; this and the next five only with a probe over HTTP."""
    host: str | None = None
    """Name for the Host header, for SNI, and for verifying the certificate; the address unless given."""
    authority: str | None = None
    """Host header where it must differ from the host."""
    expect_status: str | None = None
    """Accepted status codes such as `200,3xx`; anything below 500 unless given."""
    body_contains: str | None = None
    """Text that must stand in the first 64 KiB of the body."""
    verify: bool | None = None
    """`false` to take any certificate."""


class HttpProbe(HttpOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A probe of an external target over HTTP, in full."""

    url: Annotated[str, Meta(max_length=1200)]


class External(Struct, frozen=True, forbid_unknown_fields=True):
    """A host outside of the cluster. Either `host`, which agents resolve by themselves, or `address`."""

    name: Name
    """Name, unique among external targets."""
    probes: Annotated[tuple[Annotated[str, Meta(max_length=1200)] | HttpProbe, ...], Meta(min_length=1, max_length=16)]
    """Each of `icmp`, `tcp:PORT`, an http or https URL, or `{url: URL}` with any of the options of `services[].http`, such as
    `{url: "https://10.0.0.9/", host: www.example.test, expect_status: "200"}`."""
    host: OptionalName = ""
    """Name that agents resolve by themselves; either this or an address."""
    address: Annotated[str, Meta(max_length=45)] = ""
    """Address."""
    critical: bool = False
    """`true` to probe it from every vantage, as with services."""

"""What the inventory's short texts for probes ask: `icmp`, `tcp:443`, `https://www.example.test/health`."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from collector.discovery.snapshot import External, Service
from wire.path import Ask, Http, Icmp, Tcp
from wire.text import type_name

_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_MAX_PATH = 1024


def external_ask(text: str) -> Ask:
    """The probe that a text names; raises ValueError with what is allowed."""
    if text == "icmp":
        return Icmp()
    scheme, _, rest = text.partition(":")
    if scheme == "tcp":
        return Tcp(port=_port(rest))
    if scheme in _PORTS and rest.startswith("//"):
        return _http(text)
    raise ValueError("expected icmp, tcp:PORT or an http or https URL")


def external_asks(external: External) -> list[Ask]:
    """All probes of an external target."""
    return [external_ask(text) for text in external.probes]


def service_ask(service: Service) -> Ask:
    """The probe of a service: `tcp`, or `http:` and a path; raises ValueError where the path is too long."""
    scheme, _, path = service.probe.partition(":")
    return Tcp(port=service.port) if scheme == "tcp" else _valid(Http(port=service.port, path=path or "/"))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_PORT):
        raise ValueError("expected a port of 1 to 65535")
    return int(text)


def _http(text: str) -> Http:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        raise ValueError("not a URL") from None
    if url.username is not None or url.password is not None:
        raise ValueError("a URL must not hold credentials")
    if not host or url.fragment or port == 0:
        raise ValueError("a URL needs a host, a port of 1 to 65535 and no fragment")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return _valid(
        Http(port=port or _PORTS[url.scheme], tls=url.scheme == "https", path=path, host="" if _is_address(host) else host)
    )


def _valid(ask: Http) -> Http:
    """The same, once it is sure that an agent will read it: types check what they are decoded from, not how they are made."""
    try:
        return msgspec.convert(msgspec.to_builtins(ask), Http)
    except msgspec.ValidationError:
        raise ValueError(
            f"a path is at most {_MAX_PATH} printable ASCII characters without blanks, and a host is {type_name}"
        ) from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

"""What the inventory's short texts for probes ask: `icmp`, `tcp:443`, `https://www.example.test/health`."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from collector.discovery.snapshot import External, HttpOptions, HttpProbe, Service
from wire.path import Ask, Http, Icmp, Tcp
from wire.text import type_name

_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_NO_OPTIONS = HttpOptions()
_ALLOWED = {
    "path": "at most 1024 printable ASCII characters without blanks",
    "host": type_name,
    "method": "GET or HEAD",
    "authority": "at most 300 printable ASCII characters without blanks",
    "expect_status": "status codes such as 200,3xx",
    "body_contains": "at most 256 characters",
}


def external_ask(probe: str | HttpProbe) -> Ask:
    """What a probe of an external target asks; raises ValueError with what is allowed."""
    text, options = (probe, _NO_OPTIONS) if isinstance(probe, str) else (probe.url, probe)
    scheme, _, rest = text.partition(":")
    if scheme in _PORTS and rest.startswith("//"):
        return _http(text, options)
    if not isinstance(probe, str):
        raise ValueError("url: expected an http or https URL")  # noqa: TRY004 - of a value that a user wrote
    if text == "icmp":
        return Icmp()
    if scheme == "tcp":
        return Tcp(port=_port(rest))
    raise ValueError("expected icmp, tcp:PORT or an http or https URL")


def external_asks(external: External) -> list[Ask]:
    """All probes of an external target."""
    return [external_ask(probe) for probe in external.probes]


def service_ask(service: Service) -> Ask:
    """The first probe of a service; raises ValueError with what is allowed."""
    return service_asks(service, service.port)[0]


def service_asks(service: Service, port: int) -> list[Ask]:
    """The probes of a service at a port: each `tcp`, or `http:` and a path; raises ValueError with what is allowed."""
    probes = service.probe, *service.also
    if service.http != _NO_OPTIONS and not any(probe.startswith("http:") for probe in probes):
        raise ValueError("options of http need a probe over http")
    return [_service(probe, port, service.http) for probe in probes]


def _service(probe: str, port: int, options: HttpOptions) -> Ask:
    scheme, _, path = probe.partition(":")
    return _valid(Http(port=port, path=path or "/"), options) if scheme == "http" else Tcp(port=port)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_PORT):
        raise ValueError("expected a port of 1 to 65535")
    return int(text)


def _http(text: str, options: HttpOptions) -> Http:
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
    asked = Http(port=port or _PORTS[url.scheme], tls=url.scheme == "https", path=path, host="" if _is_address(host) else host)
    return _valid(asked, options)


def _valid(ask: Http, options: HttpOptions) -> Http:
    """With options, and sure to be read by an agent: types check what they are decoded from, not how they are made."""
    given = {name: value for name in Http.__struct_fields__ if (value := getattr(options, name, None)) is not None}
    try:
        return msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(ask, **given)), Http)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`")
        raise ValueError(f"{field}: expected {_ALLOWED[field]}") from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

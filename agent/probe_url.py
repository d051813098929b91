"""A probe as a person writes it: what a URL of the command line asks for. Pure.

In: a URL such as `tcp://10.0.0.1:443` or `dns://10.96.0.10/www.example.test?type=AAAA`, and a packet length. Out: whom to ask
and how, or a ValueError with one sentence.
"""

from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from wire.path import Ask, Dns, Record, shortest

ECHO_PORT = 8620
_SIZED = ("icmp", "udp")
_RECORDS = {"a": Record.A, "aaaa": Record.AAAA, "both": Record.BOTH}
_SWITCHES = {"1": True, "0": False}
Fields = dict[str, object]
"""Of an ask, before they are checked."""


class Question(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    url: str
    host: str
    """Name or address."""
    ask: Ask


def question_of(url: str, packet_bytes: int = 0) -> Question:
    """What a URL asks for, in an IP packet of this length or, with 0, of any. Raises ValueError with a sentence."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials are never sent: leave them out of the URL")
    if parts.scheme not in _FIELDS:
        raise ValueError(f"{url!r} does not start with one of {', '.join(f'{scheme}://' for scheme in _FIELDS)}")
    if not parts.hostname:
        raise ValueError(f"{url!r} names no address (one of IPv6 stands in brackets, as in icmp://[::1])")
    fields = {"type": parts.scheme, "port": parts.port, **_FIELDS[parts.scheme](parts)}  # a port that is none is a ValueError
    if packet_bytes:
        if parts.scheme not in _SIZED:
            raise ValueError(f"only {' and '.join(_SIZED)} have a size, {parts.scheme} has none")
        fields["packet_bytes"] = packet_bytes
    try:
        return Question(url, parts.hostname, msgspec.convert(fields, Ask))
    except msgspec.ValidationError as error:
        raise ValueError(f"{url!r}: {error}") from None


def is_address(text: str) -> bool:
    """Whether this is an IP address and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _without_path(parts: SplitResult) -> None:
    if parts.path.strip("/") or parts.query:
        raise ValueError(f"{parts.scheme} has no path")


def _icmp(parts: SplitResult) -> Fields:
    _without_path(parts)
    if parts.port is not None:
        raise ValueError("icmp has no port")
    return {}


def _udp(parts: SplitResult) -> Fields:
    _without_path(parts)
    return {"port": parts.port or ECHO_PORT}


def _tcp(parts: SplitResult) -> Fields:
    _without_path(parts)
    if parts.port is None:
        raise ValueError("tcp needs a port, as in tcp://ADDRESS:PORT")
    return {}


def _http(parts: SplitResult) -> Fields:
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = "" if is_address(parts.hostname or "") else parts.hostname
    return {"type": "http", "port": parts.port or (443 if tls else 80), "tls": tls, "path": path, "host": host}


def _dns(parts: SplitResult) -> Fields:
    """A name is what was typed and never completed by a search list; only its last dot may be left out."""
    name = parts.path.removeprefix("/")
    if not name:
        raise ValueError("dns needs a name to ask for, as in dns://10.96.0.10/www.example.test")
    given = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(given)
    if parts.fragment or parts.port == 0 or len(options) < len(given):
        raise ValueError("dns takes a port of 1 to 65535, every option once, and no fragment")
    unknown = sorted(set(options) - {"type", "tcp", "contains"})
    if unknown:
        raise ValueError(f"dns has no option {unknown[0]!r}, only type, tcp and contains")
    record, tcp = _RECORDS.get(options.get("type", "a").lower()), _SWITCHES.get(options.get("tcp", "0"))
    if record is None:
        raise ValueError(f"type is {options['type']!r}, and can be A, AAAA or both")
    if tcp is None:
        raise ValueError(f"tcp is {options['tcp']!r}, and can be 1 or 0")
    contains = options.get("contains", "")
    if contains and ("%" in contains or not is_address(contains)):
        raise ValueError(f"contains is {contains!r}, which is no address")
    name = name if name.endswith(".") else f"{name}."
    try:
        msgspec.convert({"type": "dns", "name": name}, Dns)
    except msgspec.ValidationError:
        raise ValueError(f"{name!r} is no name: labels of 1 to 63 letters, digits, - and _ with dots between them") from None
    expected = shortest(contains) if contains else ""
    return {"name": name, "record": record, "port": parts.port or 53, "tcp": tcp, "contains": expected}


_FIELDS = {"icmp": _icmp, "udp": _udp, "tcp": _tcp, "http": _http, "https": _http, "dns": _dns}

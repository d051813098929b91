"""The agent's whole configuration: a handful of environment variables, read once.

In: the environment. Out: frozen Settings, or a SettingsError with one sentence that names the variable and what is allowed.
A variable that begins with NETMATRIX_ and is not known is a typing error and is refused: it would have no effect, silently.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
PREFIX = "NETMATRIX_"

# Kubernetes adds variables for every Service of the namespace unless enableServiceLinks is off; a Service called
# netmatrix-collector must not keep the agent from starting. The port ones are told from typing errors by their value.
_SERVICE_LINK_NAME = re.compile(r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_SERVICE_LINK_VALUE = re.compile(r"^(tcp|udp|sctp)://")
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h)\Z")
_UNIT_NS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_WORD = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._:/@-]{0,251}[A-Za-z0-9])?\Z")


class SettingsError(ValueError):
    """A variable that is missing, unknown or wrong; its text is one sentence for whoever set it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says; each field is the variable NETMATRIX_ plus its name, except where noted."""

    collector: str
    """Base URL of the collector's agent port, such as `https://netmatrix-collector:8443`, without a slash at the end."""
    ca_file: Path | None = None
    """CA certificates (PEM) to verify the collector with; the system's where absent."""
    token_file: Path
    """File with the bearer token; read again for every request, since projected tokens rotate."""
    vantage: str
    """Own name in the logs; the collector takes the identity from the token and from nowhere else. The host name by default."""
    pod_uid: str
    """UID of the own pod, which authenticated peers are told; a random one by default."""
    node: str = ""
    """Own node, told to authenticated peers only."""
    namespace: str = ""
    """Own namespace, told to authenticated peers only."""
    pod: str = ""
    """Own pod, told to authenticated peers only."""
    echo_port: int = 8620
    """UDP (STAMP) and TCP (HTTP) port on which peers are answered."""
    http_port: int = 9620
    """Port of /metrics, /healthz and /readyz."""
    max_pps: int = 100
    """Most packets a second, of all probes together; no plan can raise it."""
    min_interval_ns: int = 1_000_000_000
    """NETMATRIX_MIN_INTERVAL: shortest time between two probes of one path, in nanoseconds; no plan can lower it."""
    max_peers: int = 256
    """Most distinct peers in a minute; no plan can raise it. Protects neighbour tables."""
    allow_loopback: bool = False
    """Whether loopback addresses may be probed: for tests, and for agents that watch their own machine."""
    resolv_conf: Path = Path("/etc/resolv.conf")
    """File with the resolvers for names of external targets."""
    log: str = "json"
    """`json` for machines, `text` for people."""


def _url(value: str) -> str:
    parts = urlsplit(value)
    plain = not (parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        raise ValueError
    _ = parts.port  # raises ValueError where it is no port
    return value.rstrip("/")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            raise ValueError
        return int(value)

    return parse


def _duration(value: str) -> int:
    match = _DURATION.match(value)
    if match is None:
        raise ValueError
    duration_ns = int(float(match[1]) * _UNIT_NS[match[2]])
    if not _UNIT_NS["ms"] * 10 <= duration_ns <= _UNIT_NS["h"]:
        raise ValueError
    return duration_ns


def _word(value: str) -> str:
    if not _WORD.match(value):
        raise ValueError
    return value


def _file(value: str) -> Path:
    if not value or "\0" in value:
        raise ValueError
    return Path(value)


def _one_of(**choices: T) -> Callable[[str], T]:
    def parse(value: str) -> T:
        if value not in choices:
            raise ValueError
        return choices[value]

    return parse


_NAME = "1 to 253 characters of A-Z a-z 0-9 . _ : / @ -, starting and ending with a letter or digit"
_PORT = "a port from 1 to 65535"
VARIABLES: Mapping[str, tuple[str, Callable[[str], Any], str]] = {
    "COLLECTOR": ("collector", _url, "a URL such as https://collector.netmatrix:8443, without path, query or credentials"),
    "CA_FILE": ("ca_file", _file, "a file name"),
    "TOKEN_FILE": ("token_file", _file, "a file name"),
    "VANTAGE": ("vantage", _word, _NAME),
    "POD_UID": ("pod_uid", _word, _NAME),
    "NODE": ("node", _word, _NAME),
    "NAMESPACE": ("namespace", _word, _NAME),
    "POD": ("pod", _word, _NAME),
    "ECHO_PORT": ("echo_port", _whole(1, 65535), _PORT),
    "HTTP_PORT": ("http_port", _whole(1, 65535), _PORT),
    "MAX_PPS": ("max_pps", _whole(10, 1_000_000), "a whole number from 10 to 1000000"),
    "MIN_INTERVAL": ("min_interval_ns", _duration, "a duration from 10ms to 1h, such as 500ms or 1s"),
    "MAX_PEERS": ("max_peers", _whole(1, 1_000_000), "a whole number from 1 to 1000000"),
    "ALLOW_LOOPBACK": ("allow_loopback", _one_of(true=True, false=False), "true or false"),
    "RESOLV_CONF": ("resolv_conf", _file, "a file name"),
    "LOG": ("log", _one_of(json="json", text="text"), "json or text"),
}
"""Name without prefix: the field, how its text is read (ValueError where it is not allowed), and what is allowed in words."""

_REQUIRED = frozenset(field.name for field in fields(Settings) if field.default is MISSING)
_EMPTY_IS_ABSENT = frozenset({"NODE", "NAMESPACE", "POD", "CA_FILE"})
"""Those that the downward API or a manifest may leave empty, which then means the default."""


def read(environment: Mapping[str, str], *, hostname: str, uid: str) -> Settings:
    """The settings of this environment; `hostname` and `uid` are the defaults of vantage and pod_uid.

    Raises SettingsError for the first variable, in alphabetic order, that is unknown, missing or not allowed.
    """
    values: dict[str, Any] = {"vantage": _default_vantage(hostname), "pod_uid": uid}
    for name in sorted(environment):
        short = name.removeprefix(PREFIX)
        if short == name:
            continue
        value = environment[name]
        if short not in VARIABLES:
            if _is_service_link(name, value):
                continue
            known = ", ".join(sorted(VARIABLES))
            raise SettingsError(f"{name} is not a setting of the agent; after {PREFIX} there may be {known}")
        if not value and short in _EMPTY_IS_ABSENT:
            continue
        field, parse, allowed = VARIABLES[short]
        try:
            values[field] = parse(value)
        except ValueError:
            raise SettingsError(f"{name} must be {allowed}, not {value[:100]!r}") from None
    for name, (field, _, allowed) in VARIABLES.items():
        if field in _REQUIRED and field not in values:
            raise SettingsError(f"{PREFIX}{name} is missing; it must be {allowed}")
    return Settings(**values)


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK_NAME.search(name)) or (name.endswith("_PORT") and bool(_SERVICE_LINK_VALUE.match(value)))


def _default_vantage(hostname: str) -> str:
    return hostname if _WORD.match(hostname) else "unnamed"

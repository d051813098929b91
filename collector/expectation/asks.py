"""What is asked of the far end of an expectation: ports, and how they are asked."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

PortNumber = Annotated[int, Meta(ge=1, le=65535)]
PortName = Annotated[str, Meta(max_length=15, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z")]
"""Name of a container's or a service's port (RFC 6335 section 5.1)."""

DNS_PORT: Final = 53
HTTP_PORT: Final = 80
MOST_PORTS: Final = 16
"""Most ports of one expectation; a range counts as its two ends."""

_STATUSES = r"^[1-5]([0-9]{2}|xx)(,[1-5]([0-9]{2}|xx))*\Z"
_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"


class PortAsk(Struct, frozen=True, rename="camel"):
    """One port, or the two ends of a range, and how it is asked."""

    protocol: Literal["TCP", "UDP", "SCTP", "ICMP", "DNS", "HTTP"] = "TCP"
    port: PortNumber | PortName | None = None
    """Number or name. Without it every port of the protocol that the target declares; 53 for DNS and 80 for HTTP where it
    declares none."""
    end_port: PortNumber | None = None
    """Last port of a range, which is asked at its two ends."""
    name: Annotated[str, Meta(max_length=253, pattern=rf"^({_LABEL}\.)*({_LABEL})?\Z")] = ""
    """DNS: the name to ask for, absolute with or without its last dot."""
    path: Annotated[str, Meta(max_length=1024, pattern=r"^(/[!-~]*)?\Z")] = ""
    """HTTP: the path; `/` unless given."""
    status: Annotated[int, Meta(ge=100, le=599)] | Annotated[str, Meta(max_length=64, pattern=_STATUSES)] | None = None
    """HTTP: accepted status codes such as `200,3xx`; anything below 500 unless given."""

    def __post_init__(self) -> None:
        """Raise ValueError where keys do not belong together."""
        if self.protocol == "ICMP" and (self.port is not None or self.end_port is not None):
            raise ValueError("ICMP has no ports")
        if self.protocol == "DNS" and not self.name:
            raise ValueError("protocol DNS needs a name to ask for")
        if self.name and self.protocol != "DNS":
            raise ValueError("name is for protocol DNS")
        if self.protocol != "HTTP" and (self.path or self.status is not None):
            raise ValueError("path and status are for protocol HTTP")
        if self.end_port is not None and (not isinstance(self.port, int) or self.end_port < self.port):
            raise ValueError("endPort needs a port that is a number and not above it")

    def __str__(self) -> str:
        """As in a sentence."""
        last = f"-{self.end_port}" if self.end_port is not None else ""
        return self.protocol if self.port is None else f"{self.protocol} {self.port}{last}"

    @property
    def transport(self) -> Literal["TCP", "UDP", "SCTP", "ICMP"]:
        """What a policy sees of it."""
        match self.protocol:
            case "HTTP":
                return "TCP"
            case "DNS":
                return "UDP"
            case protocol:
                return protocol

    @property
    def sampled(self) -> Sequence[int | str]:
        """The ports that are asked; none where they are those that the target declares."""
        if self.port is None:
            return ()
        return [self.port] if self.end_port in {None, self.port} else [self.port, self.end_port or 0]


def ports_complaint(ports: Sequence[PortAsk]) -> str | None:
    """What is wrong with all ports together."""
    count = sum(max(1, len(port.sampled)) for port in ports)
    return f"{count} ports, more than {MOST_PORTS}" if count > MOST_PORTS else None

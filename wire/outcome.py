"""The closed list of what can become of a probe.

A probe ends as a latency or as exactly one of these words. The network's words count as loss; the agent's own (`is_local`)
never do. A word keeps its number for ever, because the number is what crosses the wire.
"""

from enum import IntEnum


class Outcome(IntEnum):
    """One word per way to fail; the value is its code on the wire (u8)."""

    TIMEOUT = 1
    """No answer within the waiting time, nor shortly after (RFC 6673)."""
    REFUSED = 2
    """The target answered that nothing listens there: TCP RST to a SYN, ICMP port unreachable."""
    RESET = 3
    """An established connection was torn down by the other side."""
    UNREACHABLE = 4
    """ICMP net or host unreachable, or no route from here."""
    PROHIBITED = 5
    """ICMP administratively prohibited: a firewall that says so."""
    TOO_BIG = 6
    """ICMP fragmentation needed or packet too big, from a hop on the way."""
    DNS_NXDOMAIN = 7
    DNS_SERVFAIL = 8
    DNS_TIMEOUT = 9
    DNS_ERROR = 10
    """Any other failed resolution: a refused query, a malformed answer, no address of the family."""
    TLS = 11
    """The handshake or the verification of the certificate failed."""
    HTTP_STATUS = 12
    """A status code outside of what the target is expected to answer."""
    PROTOCOL = 13
    """An answer that is not the protocol, or whose body is not as expected."""
    NO_ENDPOINTS = 14
    """The service has no ready endpoint behind it."""
    WRONG_PEER = 15
    """Somebody else answered: another pod now has the address."""
    LATE = 16
    """Answered, but after the waiting time: lost as RFC 6673 says, and counted apart."""

    NO_FD = 64
    """Ours: no file descriptor left (EMFILE, ENFILE)."""
    NO_BUFFER = 65
    """Ours: no memory or queue space for the packet (ENOBUFS, ENOMEM, EAGAIN)."""
    NO_PORT = 66
    """Ours: no free source port (EADDRNOTAVAIL, EADDRINUSE)."""
    FORBIDDEN = 67
    """Ours: refused by our own deny list, or by the kernel for want of a right (EPERM, EACCES)."""
    UNSUPPORTED = 68
    """Ours: this kind or family cannot be sent from here."""
    PAUSED = 69
    """Ours: we were stopped or starved while the probe was out, so its fate is not known."""
    SKIPPED = 70
    """Ours: the time to send it had passed, or a budget was used up; it was never sent."""
    INTERNAL = 71
    """Ours: an error nobody foresaw; a fault in netmatrix."""

    # An enumeration hashes its name, in Python; the agent looks members up several times for every probe.
    __hash__ = int.__hash__

    @property
    def word(self) -> str:
        """The name used in metrics, JSON and text, such as `no_endpoints`."""
        return self.name.lower()

    @property
    def is_local(self) -> bool:
        """True for the agent's own faults, which are never loss."""
        return self >= Outcome.NO_FD


NETWORK: frozenset[Outcome] = frozenset(outcome for outcome in Outcome if not outcome.is_local)
LOCAL: frozenset[Outcome] = frozenset(outcome for outcome in Outcome if outcome.is_local)

"""What an ICMP error says, as a word of the closed list (RFC 792, RFC 1812 section 5.2.7, RFC 4443)."""

import socket

from agent.kernel import IcmpError
from wire.outcome import Outcome

_V4_UNREACHABLE, _V4_EXCEEDED, _V4_PARAMETER = 3, 11, 12
_V6_UNREACHABLE, _V6_TOO_BIG, _V6_EXCEEDED, _V6_PARAMETER = 1, 2, 3, 4
_V4_CODES = {
    2: Outcome.REFUSED,  # protocol
    3: Outcome.REFUSED,  # port
    4: Outcome.TOO_BIG,
    9: Outcome.PROHIBITED,  # network, administratively
    10: Outcome.PROHIBITED,  # host, administratively
    13: Outcome.PROHIBITED,  # communication, administratively
    15: Outcome.PROHIBITED,  # precedence cut-off
}
_V6_CODES = {
    1: Outcome.PROHIBITED,  # administratively
    4: Outcome.REFUSED,  # port
    5: Outcome.PROHIBITED,  # source address failed the policy
    6: Outcome.PROHIBITED,  # reject route
}


def word_for_icmp(error: IcmpError) -> Outcome | None:
    """The word for an ICMP error; None for messages that are no failure, such as a redirect."""
    if error.family == socket.AF_INET:
        if error.kind == _V4_UNREACHABLE:
            return _V4_CODES.get(error.code, Outcome.UNREACHABLE)
        return {_V4_EXCEEDED: Outcome.UNREACHABLE, _V4_PARAMETER: Outcome.PROTOCOL}.get(error.kind)
    if error.kind == _V6_UNREACHABLE:
        return _V6_CODES.get(error.code, Outcome.UNREACHABLE)
    words = {_V6_TOO_BIG: Outcome.TOO_BIG, _V6_EXCEEDED: Outcome.UNREACHABLE, _V6_PARAMETER: Outcome.PROTOCOL}
    return words.get(error.kind)

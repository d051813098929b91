"""Whose fault an operating system error is, as a word of the closed list.

In: an OSError of a socket call. Out: its Outcome. An error that the network cannot cause is never counted as loss; an error
that nobody foresaw is our own fault and not the network's.
"""

import errno

from wire.outcome import Outcome

WORDS = {
    # What a peer or a router told us.
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.EPIPE: Outcome.RESET,
    errno.ECONNABORTED: Outcome.RESET,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETDOWN: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENONET: Outcome.UNREACHABLE,
    errno.ETIMEDOUT: Outcome.TIMEOUT,
    errno.EPROTO: Outcome.PROTOCOL,
    # Our own limits.
    errno.EMFILE: Outcome.NO_FD,
    errno.ENFILE: Outcome.NO_FD,
    errno.ENOBUFS: Outcome.NO_BUFFER,
    errno.ENOMEM: Outcome.NO_BUFFER,
    errno.EAGAIN: Outcome.NO_BUFFER,
    errno.EADDRNOTAVAIL: Outcome.NO_PORT,
    errno.EADDRINUSE: Outcome.NO_PORT,
    errno.EPERM: Outcome.FORBIDDEN,
    errno.EACCES: Outcome.FORBIDDEN,
    # A packet longer than the link is refused by our own kernel and never leaves: the network has lost nothing.
    errno.EMSGSIZE: Outcome.UNSUPPORTED,
    errno.EAFNOSUPPORT: Outcome.UNSUPPORTED,
    errno.EPROTONOSUPPORT: Outcome.UNSUPPORTED,
    errno.EPROTOTYPE: Outcome.UNSUPPORTED,
    errno.EOPNOTSUPP: Outcome.UNSUPPORTED,
}


def word_for(error: OSError) -> Outcome:
    """The word for an error; TIMEOUT for a TimeoutError without errno, INTERNAL for what nobody foresaw."""
    if error.errno is None and isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    return WORDS.get(error.errno or 0, Outcome.INTERNAL)

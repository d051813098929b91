"""The addresses that this process can be reached at: the loopback ones, and the one that its packets to a server leave from."""

import socket

LOOPBACK = ("127.0.0.1", "::1")


def own_addresses(server: str) -> tuple[str, ...]:
    """The loopback addresses, and our own towards `server` where there is a route to it. Nothing is sent."""
    try:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as found:
            found.connect((server, 9))
            return tuple(dict.fromkeys((*LOOPBACK, str(found.getsockname()[0]))))
    except OSError:
        return LOOPBACK

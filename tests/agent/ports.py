"""Ports that no other test is given by the kernel."""

import itertools
import os
import socket

# Below the range that the kernel hands out by itself, and apart from the other processes of a parallel run.
_candidates = itertools.count(20_000 + os.getpid() % 120 * 100)


def free_port() -> int:
    """A port that is free on both families, for UDP and for TCP."""
    return next(port for port in _candidates if all(_free(port, *one) for one in _KINDS))


_KINDS = [(family, kind) for family in (socket.AF_INET, socket.AF_INET6) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]


def _free(port: int, family: socket.AddressFamily, kind: socket.SocketKind) -> bool:
    with socket.socket(family, kind) as attempt:
        try:
            attempt.bind(("", port))
        except OSError:
            return False
    return True

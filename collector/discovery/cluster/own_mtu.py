"""The longest packet that our own network interface towards the cluster takes: a pod of ours measures the pod network's MTU."""

import socket

from wire.path import Family

IP_MTU = 14
"""ip(7): the MTU that the kernel knows for a connected socket; CPython has no name for it."""
IPV6_MTU = 24
"""ipv6(7): the same."""


def own_mtu(address: str) -> int:
    """In bytes, towards an address; 0 where it cannot be told. Nothing is sent."""
    try:
        six = Family.of(address) is Family.IPV6
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as found:
            found.connect((address, 9))
            return found.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) if six else found.getsockopt(socket.IPPROTO_IP, IP_MTU)
    except (OSError, ValueError):
        return 0

"""Forgetting the kernel's connection table in one namespace.

NAT is decided once per connection, and a flow of probes is one connection for ever: without this, rules that change would bite
only on the next boot of an agent.
"""

import os
import socket
import struct

from lab.namespaces import call_inside

NETLINK_NETFILTER = 12
CONNTRACK_DELETE = (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
NLM_F_REQUEST_ACK = 0x1 | 0x4
_HEADER = struct.Struct("=IHHII")
_REPLY_BYTES = 4096


def flush(netns: str) -> None:
    """Forget every connection of a namespace; raises OSError where the kernel refuses."""
    call_inside(netns, _flush_here)


def _flush_here() -> None:
    # Without a tuple in it, the message stands for all of them, of every family.
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        kernel.send(_HEADER.pack(_HEADER.size + len(body), CONNTRACK_DELETE, NLM_F_REQUEST_ACK, 1, 0) + body)
        reply = kernel.recv(_REPLY_BYTES)
    (code,) = struct.unpack_from("=i", reply, _HEADER.size)
    if code:
        raise OSError(-code, os.strerror(-code))

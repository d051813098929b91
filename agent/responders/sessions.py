"""What a stateful reflector remembers of its sessions, in bounded memory (RFC 8762 section 4).

In: the sender's UID, its session and the sequence number of a request whose proof held. Out: the receipt for the reply. A
session is named by its sender and never by a port, so that neither a sender's next socket nor a NAT disturbs the count.
"""

import os
from collections import OrderedDict

from msgspec import Struct

from agent.stamp import BITMAP_BITS, Receipt

SESSION_LIMIT = 16_384
"""Sessions remembered, the longest silent forgotten first: four layers and families of four thousand peers, in 6 MB."""

_ALL = (1 << BITMAP_BITS) - 1


class _Session(Struct, gc=False):
    incarnation: bytes
    received: int
    highest: int
    bitmap: int


class Sessions:
    """The session table of one reflector."""

    def __init__(self, limit: int = SESSION_LIMIT) -> None:
        self._limit = limit
        self._sessions: OrderedDict[tuple[str, bytes], _Session] = OrderedDict()

    def received(self, uid: str, session: bytes, sequence: int) -> Receipt:
        """Count a request once, however often the network delivers it, and say what has been received so far."""
        name = uid, session
        entry = self._sessions.get(name)
        if entry is None:
            # Random, so that a session forgotten here or in an earlier process is never taken for the same count.
            entry = self._sessions[name] = _Session(os.urandom(8), 1, sequence, 1)
            if len(self._sessions) > self._limit:
                self._sessions.popitem(last=False)
            return Receipt(entry.incarnation, 1, sequence, 1)
        self._sessions.move_to_end(name)
        ahead = sequence - entry.highest
        if ahead > 0:
            entry.bitmap = (entry.bitmap << ahead | 1) & _ALL if ahead < BITMAP_BITS else 1
            entry.highest = sequence
            entry.received += 1
        elif -ahead < BITMAP_BITS and not entry.bitmap >> -ahead & 1:
            entry.bitmap |= 1 << -ahead
            entry.received += 1
        return Receipt(entry.incarnation, entry.received, entry.highest, entry.bitmap)

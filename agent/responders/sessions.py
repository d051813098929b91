"""What a stateful reflector remembers of its sessions, in bounded memory (RFC 8762 section 4).

In: the sender's UID, its session and the sequence number of a request whose proof held. Out: the receipt for the reply. A
session is named by its sender and never by a port, so that neither a sender's next socket nor a NAT disturbs the count.
"""

import os
from collections import OrderedDict

from agent.stamp import BITMAP_BITS, Receipt

SESSION_LIMIT = 16_384
"""Sessions remembered, the longest silent forgotten first: four layers and families of four thousand peers, in 6 MB."""

_ALL = (1 << BITMAP_BITS) - 1


class Sessions:
    """The session table of one reflector."""

    def __init__(self, limit: int = SESSION_LIMIT) -> None:
        self._limit = limit
        self._sessions: OrderedDict[tuple[str, bytes], Receipt] = OrderedDict()

    def received(self, uid: str, session: bytes, sequence: int) -> Receipt:
        """Count a request once, however often the network delivers it, and say what has been received so far."""
        sessions, name = self._sessions, (uid, session)
        before = sessions.get(name)
        if before is None:
            # Random, so that a session forgotten here or in an earlier process is never taken for the same count.
            receipt = sessions[name] = Receipt(os.urandom(8), 1, sequence, 1)
            if len(sessions) > self._limit:
                sessions.popitem(last=False)
            return receipt
        sessions.move_to_end(name)
        ahead, bitmap = sequence - before.highest, before.bitmap
        if ahead > 0:
            bitmap = (bitmap << ahead | 1) & _ALL if ahead < BITMAP_BITS else 1
            receipt = sessions[name] = Receipt(before.incarnation, before.received + 1, sequence, bitmap)
            return receipt
        if -ahead < BITMAP_BITS and not bitmap >> -ahead & 1:
            bitmap |= 1 << -ahead
            receipt = sessions[name] = Receipt(before.incarnation, before.received + 1, before.highest, bitmap)
            return receipt
        return before

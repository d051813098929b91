"""Which direction lost a probe: exact counts from the receipts of a stateful reflector (RFC 8762), without clocks in step.

In: what was sent, and the receipt in each reply. Out: probes lost on the way there and on the way back, through a sequence
number. Every count is final: nothing is settled that could still arrive, and nothing is ever taken back. Silence settles
nothing, since a lost request and a lost reply look the same until a later reply tells them apart.

A probe is settled when a reply arrives to another one that left at least HORIZON_NS after it: the network may then no longer
reorder the two. How long either was under way plays no part, so a stalled peer or a full queue does no harm. Where every probe
up to this reply's has been answered there is nothing to wait for, which is so nearly always.
"""

from collections import deque

from msgspec import Struct

from agent.stamp import BITMAP_BITS, Receipt

HORIZON_NS = 1_000_000_000
"""Longest by which one packet may overtake another that left before it."""


class Settled(Struct, frozen=True, gc=False):
    """What is known now and was not before."""

    forward_lost: int
    """Probes that did not reach the reflector."""
    backward_lost: int
    """Probes whose reply did not come back."""
    through: int
    """Own sequence number through which both counts are complete."""


class Directions:
    """The account of one session of one sender. Sequence numbers ascend; times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._incarnation = b""
        self._through = -1
        self._arrived = 0  # distinct requests that reached the reflector, of those through `_through`, when that was settled
        self._answered: set[int] = set()  # beyond `_through`
        # More than a bitmap's worth are never needed: what is older is settled by the next reply anyway.
        self._sent: deque[tuple[int, int]] = deque(maxlen=BITMAP_BITS)

    def sent(self, sequence: int, now_ns: int) -> None:
        """A request has left."""
        self._sent.append((sequence, now_ns))

    def replied(self, sequence: int, receipt: Receipt) -> Settled | None:
        """A reply has come; what it settles, None where it settles nothing."""
        if receipt.incarnation != self._incarnation:
            return self._resynchronise(sequence, receipt)
        if sequence > self._through:
            if sequence == receipt.highest and self._is_whole(sequence, receipt):
                self._through, self._arrived = sequence, receipt.received
                return Settled(0, 0, sequence)
            self._answered.add(sequence)
        through = self._settleable(sequence, receipt)
        if through <= self._through:
            return None
        arrived = _arrived(receipt, through)
        # Where one bitmap covers the whole span, it also knows of what came after the span's beginning had been settled.
        covered = receipt.highest - self._through <= BITMAP_BITS
        came = arrived - (_arrived(receipt, self._through) if covered else self._arrived)
        answered = sum(number <= through for number in self._answered)
        # Below zero only where something was overtaken by more than the horizon, and had been settled as lost.
        settled = Settled(max(0, through - self._through - came), max(0, came - answered), through)
        self._answered = {number for number in self._answered if number > through}
        self._through, self._arrived = through, arrived
        return settled

    def _is_whole(self, sequence: int, receipt: Receipt) -> bool:
        """Whether with this reply nothing is missing of all that was sent through its number, and nothing beyond has come."""
        fresh, answered = sequence - self._through, self._answered
        if receipt.received - self._arrived != fresh or len(answered) != fresh - 1:
            return False
        if answered:
            if max(answered) >= sequence:
                return False
            answered.clear()
        return True

    def _settleable(self, sequence: int, receipt: Receipt) -> int:
        """The highest sequence number of which nothing is under way any more, now that this reply is here."""
        sent = self._sent
        if sent and sent[-1][0] == sequence:
            left_ns = sent[-1][1]  # as it is nearly always
        else:
            earlier = next((when for number, when in reversed(sent) if number == sequence), None)
            if earlier is None:
                return -1
            left_ns = earlier
        while len(sent) > 1 and sent[0][0] <= self._through:
            sent.popleft()
        through = sent[0][0] - 1
        for number, when in sent:
            if when > left_ns - HORIZON_NS:
                break
            through = number
        # The bitmap must reach down to it, or what lies above could not be told from what lies below.
        return max(through, min(sequence, receipt.highest - BITMAP_BITS))

    def _resynchronise(self, sequence: int, receipt: Receipt) -> Settled | None:
        """Begin a new account with a reflector that counts afresh; what is open with the old one stays unknown."""
        if sequence <= max(self._answered, default=self._through):
            return None  # a straggler of the count before
        self._incarnation = receipt.incarnation
        self._through = sequence
        self._arrived = _arrived(receipt, sequence)
        self._answered = set()
        return Settled(0, 0, sequence)


def _arrived(receipt: Receipt, through: int) -> int:
    """How many distinct requests up to `through` have reached the reflector; it is at most BITMAP_BITS below the highest."""
    above = (1 << max(0, receipt.highest - through)) - 1
    return receipt.received - (receipt.bitmap & above).bit_count()

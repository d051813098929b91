"""The account of lost directions against a simulated channel that knows the truth."""

from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.directions import HORIZON_NS, Directions, Settled
from agent.responders.sessions import Sessions

if TYPE_CHECKING:
    from agent.stamp import Receipt

MILLISECOND = 1_000_000
Packet = tuple[int, int, int, bool, bool, bool, bool]


class Channel:
    """A lossy channel that reorders by less than the horizon, a reflector's session table, and what really happened."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.directions = Directions()
        self.forward: dict[int, bool] = {}
        self.backward: dict[int, bool] = {}
        self.settled: list[Settled] = []

    def run(self, packets: list[Packet]) -> None:
        """Packets of (gap, way there, way back in ms, lost there, lost back, twice there, twice back)."""
        now = 0
        events: list[tuple[int, int, str, tuple[int, Receipt | None]]] = []
        for sequence, (gap, there, _, lost_there, lost_back, twice_there, _) in enumerate(packets):
            now += gap * MILLISECOND
            events.append((now, 0, "sent", (sequence, None)))
            self.forward[sequence], self.backward[sequence] = lost_there, lost_back
            copies = range(0 if lost_there else 1 + twice_there)
            events += [(now + (there + copy) * MILLISECOND, 1, "there", (sequence, None)) for copy in copies]
        pending = sorted(events, key=lambda event: event[:2])
        while pending:
            when, _, what, (sequence, receipt) = pending.pop(0)
            if what == "sent":
                self.directions.sent(sequence, when)
            elif receipt is None:
                _, _, back, _, lost_back, _, twice_back = packets[sequence]
                receipt = self.sessions.received("sender", b"session1", sequence)
                copies = range(0 if lost_back else 1 + twice_back)
                pending += [(when + (back + copy) * MILLISECOND, 2, "back", (sequence, receipt)) for copy in copies]
                pending.sort(key=lambda event: event[:2])
            else:
                settled = self.directions.replied(sequence, receipt)
                if settled:
                    self.settled.append(settled)

    def check(self) -> None:
        """Between any two moments, the counts are exactly what was lost in between."""
        for before, after in zip(self.settled, self.settled[1:], strict=False):
            span = range(before.through + 1, after.through + 1)
            assert len(span) > 0
            forward = sum(self.forward[number] for number in span)
            backward = sum(self.backward[number] and not self.forward[number] for number in span)
            assert (after.forward_lost, after.backward_lost) == (forward, backward)


packet = st.tuples(
    st.sampled_from([20, 100, 1000, 1003, 3000]),
    st.sampled_from([0, 1, 40, 300]),
    st.sampled_from([0, 1, 40, 300]),
    *([st.sampled_from([False, False, True])] * 2),
    *([st.sampled_from([False, False, False, True])] * 2),
)


@given(st.lists(packet, max_size=60))
@example(
    [(1000, 0, 0, False, False, False, False)] + [(20, 300 - n, 0, n % 3 == 0, n % 5 == 0, False, True) for n in range(59)]
)
@example([(1000, 300, 0, False, False, False, False)] + [(100, 0, 0, False, False, False, False)] * 15)
@settings(max_examples=80, deadline=None)
def test_increments_are_exactly_the_packets_lost_per_direction_whatever_the_channel_does(packets: list[Packet]) -> None:
    channel = Channel()
    channel.run(packets)
    channel.check()


@given(st.integers(1, 1000), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_silence_longer_than_the_bitmap_is_told_apart_by_the_counts_alone(length: int, forward: bool) -> None:
    quiet, good = (1000, 1, 1, forward, not forward, False, False), (1000, 1, 1, False, False, False, False)
    channel = Channel()
    channel.run([good, good, *[quiet] * length, good, good, good])
    channel.check()
    lost = sum(settled.forward_lost for settled in channel.settled), sum(settled.backward_lost for settled in channel.settled)
    assert lost == ((length, 0) if forward else (0, length))


def test_a_steady_path_is_settled_through_its_last_probe() -> None:
    channel = Channel()
    channel.run([(1000, 1, 1, False, False, False, False)] * 5)
    assert channel.settled[-1] == Settled(0, 0, 4)


def test_a_restarted_reflector_resynchronises_without_inventing_losses() -> None:
    sessions, directions = Sessions(), Directions()
    for number in range(10):
        directions.sent(number, number * HORIZON_NS)
        directions.replied(number, sessions.received("sender", b"session1", number))
    for number in range(10, 20):
        directions.sent(number, number * HORIZON_NS)
    sessions = Sessions()
    directions.sent(20, 20 * HORIZON_NS)
    assert directions.replied(20, sessions.received("sender", b"session1", 20)) == Settled(0, 0, 20)
    directions.sent(21, 21 * HORIZON_NS)
    directions.sent(22, 22 * HORIZON_NS)
    directions.sent(23, 23 * HORIZON_NS)
    assert directions.replied(23, sessions.received("sender", b"session1", 23)) == Settled(2, 0, 22)


def test_a_straggler_of_the_old_count_does_not_undo_a_resynchronisation() -> None:
    old, restarted, directions = Sessions(), Sessions(), Directions()
    for number in range(5):
        directions.sent(number, number * HORIZON_NS)
    receipts = [old.received("sender", b"session1", number) for number in range(3)]
    directions.replied(0, receipts[0])
    directions.replied(4, restarted.received("sender", b"session1", 4))
    assert directions.replied(2, receipts[2]) is None
    directions.sent(5, 5 * HORIZON_NS)
    directions.replied(5, restarted.received("sender", b"session1", 5))
    directions.sent(6, 7 * HORIZON_NS)
    assert directions.replied(6, restarted.received("sender", b"session1", 6)) == Settled(0, 0, 6)


def test_the_session_table_is_bounded_and_a_forgotten_session_says_so() -> None:
    sessions = Sessions(limit=2)
    first = sessions.received("a", b"session1", 0)
    sessions.received("b", b"session1", 0)
    assert sessions.received("a", b"session1", 1).received == 2
    sessions.received("c", b"session1", 0)
    sessions.received("d", b"session1", 0)
    again = sessions.received("a", b"session1", 2)
    assert again.received == 1
    assert again.incarnation != first.incarnation

"""The sockets of a datagram kind: one line per family and treatment, replaced before anything on the way gets stuck on it.

In: families. Out: lines. Packets that must stay whole have a line of their own, so that all others are sent as ever; whatever
their length they share it, and with it the id or port by which networks choose one of several ways: only length differs.

A firewall or a NAT may hold a dead session for an id or a port; a line therefore ends after some minutes, or after a run of
silence, on all of it or on one path, and another id or port takes its place. A replaced line is read on until nothing is under
way on it and its last straggler has had time to come.
"""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wire.path import Family

LINE_LIFE_NS = 300 * 10**9
"""A line is replaced after this long."""
SILENT_LIMIT = 8
"""A line is replaced after so many probes in a row that were given up."""
STUCK_LINE_LIFE_NS = 30 * 10**9
"""A line on which one path alone fell silent lives this long, since others must not pay for a target that is just dead."""
SHORTEST_LINE_LIFE_NS = 5 * 10**9
"""However silent it is, a line lives this long, and is read this long after its last probe landed."""


@dataclass(slots=True, eq=False)
class Line:
    """One non-blocking socket and what it has seen. Times are monotonic nanoseconds."""

    sock: socket.socket
    family: Family
    opened_ns: int
    raw: bool = False
    """A raw socket, which sees more than its own answers."""
    under_way: int = 0
    """Probes sent and neither answered nor given up."""
    silent: int = 0
    """Probes given up since the last answer."""
    stuck: bool = False
    """A path has been silent for as many probes in a row, whatever others have heard."""
    landed_ns: int = 0
    """When the last probe was answered or given up, or the line replaced."""


class Lines:
    """All lines of one kind; `opened` makes a socket for a family, told whether its packets stay whole, or raises OSError."""

    def __init__(self, opened: Callable[[Family, bool], socket.socket]) -> None:
        self._opened = opened
        self._current: dict[tuple[Family, bool], Line] = {}
        self._replaced: list[Line] = []

    def __iter__(self) -> Iterator[Line]:
        """Every line that is to be read, older ones first, so that answers are read in the order in which they came."""
        return iter((*self._replaced, *self._current.values()))

    def current(self, family: Family, *, whole: bool = False) -> Line:
        """The line to send on; `whole` for packets that must not be fragmented.

        Raises OSError where there is none and none can be opened.
        """
        now_ns = time.monotonic_ns()
        line = self._current.get((family, whole))
        if line is not None and now_ns - line.opened_ns < _life_ns(line):
            return line
        try:
            sock = self._opened(family, whole)
        except OSError:
            if line is None:
                raise
            return line  # an old line is better than none
        if line is not None:
            line.landed_ns = now_ns
            self._replaced.append(line)
        line = self._current[family, whole] = Line(sock, family, now_ns, raw=sock.type == socket.SOCK_RAW)
        return line

    def close_quiet(self) -> None:
        """Close replaced lines on which nothing is to be expected any more."""
        now_ns = time.monotonic_ns()
        for line in [line for line in self._replaced if not line.under_way]:
            if now_ns - line.landed_ns >= SHORTEST_LINE_LIFE_NS:
                line.sock.close()
                self._replaced.remove(line)

    def close(self) -> None:
        """Close every line."""
        for line in self:
            line.sock.close()
        self._current.clear()
        self._replaced.clear()


def _life_ns(line: Line) -> int:
    if line.silent >= SILENT_LIMIT:
        return SHORTEST_LINE_LIFE_NS
    return STUCK_LINE_LIFE_NS if line.stuck else LINE_LIFE_NS

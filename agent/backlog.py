"""Spans that wait for the collector, in fixed memory.

In: finished spans, acknowledgements, the news that another collector process took over. Out: the next span to send, with its
sequence number. Each span is kept until the acknowledgement after next, so that a collector that died after taking one can
have it again. Nothing is lost, merged or doubled here without being counted.

Sequence numbers are given at the first sending, without a gap. Only spans that were never sent are merged: what was sent
may have been taken, and a merge with it would count twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from wire.report import MAX_ENTRIES, Columns, Health, pack, unpack
from wire.window import Window, merge

MAX_SPANS = 60
"""Spans kept: ten minutes at the usual ten seconds a span, each longer once they merge."""
MAX_BYTES = 8 * 1024 * 1024
"""Columns kept, in bytes."""
MAX_SPAN_BYTES = 3 * 1024 * 1024
"""No merge makes a span larger than this: a report has to stay below the collector's limit."""
MAX_SPAN_NS = 7 * 86_400_000_000_000
"""No merge makes a span longer than this: nobody would read it."""
RETAINED = 2
"""Acknowledged spans that are kept in case the collector process that took them is gone."""


@dataclass(frozen=True, slots=True)
class Span:
    """What the agent measured between two cuts. Columns rather than windows, since they are a tenth of the memory."""

    columns: Columns
    started_ns: int
    ended_ns: int
    generation: int
    health: Health
    windows: int
    """Windows in it, each counted as it was before any merge."""
    merged: int = 1
    urgent: bool = False
    leaving: bool = False

    @property
    def size_bytes(self) -> int:
        """Memory of the columns, in bytes, near enough."""
        dense = sum(len(value) for value in structs.asdict(self.columns).values() if isinstance(value, bytes))
        return dense + sum(64 + len(text) for _, _, text in self.columns.facts)


@dataclass(slots=True)
class _Entry:
    span: Span
    size_bytes: int
    sequence: int = 0
    """0 until it is sent for the first time."""
    taken: bool = False
    """The collector process that we report to now has it."""


def merge_spans(one: Span, other: Span) -> Span | None:
    """Two adjacent spans as one; None where that would be too long, too large, or not one span."""
    if one.ended_ns != other.started_ns or other.ended_ns - one.started_ns > MAX_SPAN_NS:
        return None
    if one.size_bytes + other.size_bytes > 2 * MAX_SPAN_BYTES:
        return None
    windows: dict[int, Window] = {window.path: window for window in unpack(one.columns)}
    for window in unpack(other.columns):
        windows[window.path] = merge([windows[window.path], window]) if window.path in windows else window
    if len(windows) > MAX_ENTRIES:
        return None
    merged = replace(
        other,
        columns=pack(list(windows.values())),
        started_ns=one.started_ns,
        health=_merged_health(one.health, other.health),
        windows=one.windows + other.windows,
        merged=one.merged + other.merged,
        urgent=one.urgent or other.urgent,
    )
    return merged if merged.size_bytes <= MAX_SPAN_BYTES else None


def _merged_health(one: Health, other: Health) -> Health:
    return structs.replace(
        other,
        loop_lag_p99_ns=max(one.loop_lag_p99_ns, other.loop_lag_p99_ns),
        loop_lag_max_ns=max(one.loop_lag_max_ns, other.loop_lag_max_ns),
        throttled_ns=one.throttled_ns + other.throttled_ns,
        suspended_ns=one.suspended_ns + other.suspended_ns,
        cpu_ns=one.cpu_ns + other.cpu_ns,
    )


class Backlog:
    """The spans of one agent process, oldest first: acknowledged ones, then sent ones, then those never sent."""

    def __init__(self, *, max_spans: int = MAX_SPANS, max_bytes: int = MAX_BYTES) -> None:
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._entries: list[_Entry] = []
        self._sequence = 0
        self.acknowledged = 0
        """Highest sequence that any collector process acknowledged."""
        self.spans_merged = 0
        """Spans that were merged into another one."""
        self.spans_dropped = 0
        """Spans that are gone without having been acknowledged."""
        self.windows_dropped = 0
        """Windows in those, each counted as it was before any merge."""

    def __len__(self) -> int:
        """Spans that the collector has not got yet."""
        return sum(not entry.taken for entry in self._entries)

    @property
    def size_bytes(self) -> int:
        """Memory of all spans, in bytes, near enough."""
        return sum(entry.size_bytes for entry in self._entries)

    def add(self, span: Span) -> None:
        """Take a finished span; make room by merging spans that were never sent, then by dropping the oldest."""
        self._entries.append(_Entry(span, span.size_bytes))
        while len(self._entries) > self._max_spans or self.size_bytes > self._max_bytes:
            if not self._merge_two() and not self._drop_oldest():
                return

    def next(self) -> tuple[int, Span] | None:
        """The oldest span that the collector has not got, with its sequence number; None where it has all."""
        entry = next((entry for entry in self._entries if not entry.taken), None)
        if entry is None:
            return None
        if not entry.sequence:
            self._sequence += 1
            entry.sequence = self._sequence
        return entry.sequence, entry.span

    def acknowledge(self, sequence: int) -> None:
        """The collector has everything up to this sequence number; numbers never given are as good as the highest given."""
        self.acknowledged = max(self.acknowledged, min(sequence, self._sequence))
        for entry in self._entries:
            entry.taken = entry.taken or 0 < entry.sequence <= sequence
        taken = [entry for entry in self._entries if entry.taken]
        for entry in taken[:-RETAINED]:
            self._entries.remove(entry)

    def rewind(self) -> None:
        """Another collector process took over: it gets all that is kept, in order and with the same numbers."""
        for entry in self._entries:
            entry.taken = False

    def drop(self, sequence: int) -> None:
        """The collector will never take this span: give it up, counted."""
        for entry in [entry for entry in self._entries if entry.sequence == sequence and not entry.taken]:
            self._give_up(entry)

    def _merge_two(self) -> bool:
        """Merge the two neighbours, never sent, that are the shortest together; the oldest such where several are."""
        unsent = [place for place, entry in enumerate(self._entries) if not entry.sequence]
        # The newest stays out of it, since it may be urgent news or a farewell, and merging costs the same at the old end.
        pairs = sorted(unsent[:-2], key=lambda place: self._span_ns(place) + self._span_ns(place + 1))
        for place in pairs:
            merged = merge_spans(self._entries[place].span, self._entries[place + 1].span)
            if merged is not None:
                self._entries[place : place + 2] = [_Entry(merged, merged.size_bytes)]
                self.spans_merged += 1
                return True
        return False

    def _span_ns(self, place: int) -> int:
        span = self._entries[place].span
        return span.ended_ns - span.started_ns

    def _drop_oldest(self) -> bool:
        """Drop a copy that the collector has already got, or else the oldest span; False where only the newest is left."""
        if len(self._entries) <= 1:
            return False
        taken = next((entry for entry in self._entries if entry.taken), None)
        if taken is not None:
            self._entries.remove(taken)
        else:
            self._give_up(self._entries[0])
        return True

    def _give_up(self, entry: _Entry) -> None:
        self._entries.remove(entry)
        self.spans_dropped += 1
        self.windows_dropped += entry.span.windows


def span_of(windows: Sequence[Window], *, started_ns: int, ended_ns: int, generation: int, health: Health) -> Span:
    """A span with its windows as columns; raises ValueError and OverflowError as wire.report.pack does."""
    return Span(pack(windows), started_ns, ended_ns, generation, health, len(windows))

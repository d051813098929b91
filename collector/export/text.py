"""Prometheus text format 0.0.4 for large families, many times as fast as prometheus-client, under a cap.

In: families and rows of label values and numbers. Out: bytes. Whatever a label value holds, no line can be broken out of, and
two different values never become the same one. The lines of a family are kept with a place for each number, and written again
only when its rows have other labels: between two scrapes of a quiet cluster nothing changes but numbers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

from collector.export.names import SERIES, SERIES_DROPPED, Family

MAX_LABEL: Final = 128
"""Longest label value in characters."""

RESERVED: Final = 60
"""Series of the cap that are kept for saying what was dropped, one per family at most."""

Key = tuple[str, ...]
"""Label values, in the order of the family's labels."""
Number = float | int

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def label_value(text: str) -> str:
    """A value as it stands between the quotes: escaped, valid UTF-8, at most MAX_LABEL characters before escaping.

    A longer one keeps its beginning and gets a hash of the whole, so that it stays distinct.
    """
    text = text.encode("utf-8", "replace").decode()
    if len(text) > MAX_LABEL:
        text = f"{text[: MAX_LABEL - 17]}~{blake2b(text.encode(), digest_size=8).hexdigest()}"
    return text.translate(_ESCAPES)


class Kept:
    """What outlives a scrape: the lines of each family, and how many of its series were left out so far."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._lines: dict[str, tuple[Sequence[Key], bytes]] = {}

    def lines(self, name: str, labels: Sequence[str], keys: Sequence[Key]) -> bytes:
        """The lines of one metric, a `%a` in the place of each number, made anew where the keys are others than last time."""
        kept = self._lines.get(name)
        if kept is None or kept[0] != keys:
            self._lines[name] = kept = keys, _lines(name, labels, keys)
        return kept[1]


def _lines(name: str, labels: Sequence[str], keys: Sequence[Key]) -> bytes:
    inside = ",".join(f'{label}="%s"' for label in labels)
    line = f"{name}{{{inside}}} " if labels else f"{name} "
    return b"".join([(line % tuple(map(label_value, key))).replace("%", "%%").encode() + b"%a\n" for key in keys])


class Exposition:
    """One scrape in the making. Families come in the order of what matters: what comes last is cut first."""

    def __init__(self, *, max_series: int, kept: Kept) -> None:
        self._left = max(0, max_series - RESERVED)
        self._kept = kept
        self._parts: list[bytes] = []
        self._series = 0
        self._dropped: Counter[str] = Counter()

    def add(self, family: Family, keys: Sequence[Key], numbers: Sequence[Number | None]) -> None:
        """A family of counters or gauges, one series per key; those whose number is None are left out.

        Numbers are Python's own (not numpy's), so that what is written is what Prometheus reads back exactly.
        """
        if None in numbers:
            there = [place for place, value in enumerate(numbers) if value is not None]
            keys, numbers = [keys[place] for place in there], [numbers[place] for place in there]
        room = self._room(family, len(keys), 1)
        if room:
            self._head(family)
            self._write(family.name, family.labels, keys[:room] if room < len(keys) else keys, numbers[:room])

    def add_histogram(self, family: Family, bounds: Sequence[float], rows: Iterable[tuple[Key, Sequence[int], float]]) -> None:
        """A family of classic histograms: rows of label values, counts per bucket (one more than bounds), and the sum."""
        series = list(rows)
        kept = series[: self._room(family, len(series), len(bounds) + 3)]
        if not kept:
            return
        self._head(family)
        names = [repr(float(bound)) for bound in bounds] + ["+Inf"]
        keys = [key for key, _, _ in kept]
        running = [_running(counts) for _, counts, _ in kept]
        buckets = [(*key, name) for key in keys for name in names]
        self._write(f"{family.name}_bucket", (*family.labels, "le"), buckets, [count for counts in running for count in counts])
        self._write(f"{family.name}_sum", family.labels, keys, [float(of_all) for *_, of_all in kept])
        self._write(f"{family.name}_count", family.labels, keys, [counts[-1] for counts in running])

    def render(self) -> bytes:
        """All of it, with the number of series and of those left out."""
        self._left = RESERVED
        self._kept.dropped.update(self._dropped)  # not before: a scrape that is begun anew dropped nothing
        dropped = sorted(self._kept.dropped.items())
        self.add(SERIES_DROPPED, [(family,) for family, _ in dropped], [count for _, count in dropped])
        self.add(SERIES, [()], [self._series + 1])
        return b"".join(self._parts)

    def _room(self, family: Family, rows: int, each: int) -> int:
        """How many rows of `each` series still fit; the others are counted as dropped."""
        kept = min(rows, self._left // each)
        if kept < rows:
            self._dropped[family.name] += (rows - kept) * each
        self._left -= kept * each
        self._series += kept * each
        return kept

    def _head(self, family: Family) -> None:
        self._parts.append(f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n".encode())

    def _write(self, name: str, labels: Sequence[str], keys: Sequence[Key], numbers: Sequence[Number | None]) -> None:
        self._parts.append(self._kept.lines(name, labels, keys) % tuple(numbers))


def _running(counts: Sequence[int]) -> list[int]:
    """Cumulative counts."""
    total = 0
    return [total := total + count for count in counts]

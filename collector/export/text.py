"""Prometheus text format 0.0.4 for large families, many times as fast as prometheus-client, under a cap.

In: families and rows of label values and numbers. Out: bytes. Whatever a label value holds, no line can be broken out of, and
two different values never become the same one.
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

Row = tuple[Sequence[str], float | int | None]
"""Label values and the number; None is left out."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def label_value(text: str) -> str:
    """A value as it stands between the quotes: escaped, valid UTF-8, at most MAX_LABEL characters before escaping.

    A longer one keeps its beginning and gets a hash of the whole, so that it stays distinct.
    """
    text = text.encode("utf-8", "replace").decode()
    if len(text) > MAX_LABEL:
        text = f"{text[: MAX_LABEL - 17]}~{blake2b(text.encode(), digest_size=8).hexdigest()}"
    return text.translate(_ESCAPES)


def number(value: float) -> str:
    """A number as Prometheus reads it back exactly."""
    return str(value) if isinstance(value, int) else repr(float(value))


class Exposition:
    """One scrape in the making. Families come in the order of what matters: what comes last is cut first."""

    def __init__(self, *, max_series: int, dropped: Counter[str]) -> None:
        """`dropped` counts by family over all scrapes, and is added to."""
        self._left = max(0, max_series - RESERVED)
        self._dropped = dropped
        self._lines: list[str] = []
        self._series = 0

    def add(self, family: Family, rows: Iterable[Row]) -> None:
        """A family of counters or gauges, one series per row."""
        series = [(labels, value) for labels, value in rows if value is not None]
        kept = self._room(family, len(series), 1)
        if kept:
            self._head(family)
            line = self._template(family.name, family.labels)
            self._lines += [line % (*map(label_value, labels), number(value)) for labels, value in series[:kept]]

    def add_histogram(
        self, family: Family, bounds: Sequence[float], rows: Iterable[tuple[Sequence[str], Sequence[int], float]]
    ) -> None:
        """A family of classic histograms: rows of label values, counts per bucket (one more than bounds), and the sum."""
        series = list(rows)
        kept = self._room(family, len(series), len(bounds) + 3)
        if not kept:
            return
        self._head(family)
        bucket = self._template(f"{family.name}_bucket", (*family.labels, "le"))
        names = [number(float(bound)) for bound in bounds] + ["+Inf"]
        total, count = (self._template(f"{family.name}_{suffix}", family.labels) for suffix in ("sum", "count"))
        for labels, counts, of_all in series[:kept]:
            values = tuple(map(label_value, labels))
            running = 0
            for name, here in zip(names, counts, strict=True):
                running += here
                self._lines.append(bucket % (*values, name, number(running)))
            self._lines += [total % (*values, number(of_all)), count % (*values, number(running))]

    def render(self) -> bytes:
        """All of it, with the number of series and of those left out."""
        self._left = RESERVED
        self.add(SERIES_DROPPED, [((family,), count) for family, count in sorted(self._dropped.items())])
        self.add(SERIES, [((), self._series + 1)])
        return ("\n".join(self._lines) + "\n").encode()

    def _room(self, family: Family, rows: int, each: int) -> int:
        """How many rows of `each` series still fit; the others are counted as dropped."""
        kept = min(rows, self._left // each)
        if kept < rows:
            self._dropped[family.name] += (rows - kept) * each
        self._left -= kept * each
        self._series += kept * each
        return kept

    def _head(self, family: Family) -> None:
        self._lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]

    @staticmethod
    def _template(name: str, labels: Sequence[str]) -> str:
        inside = ",".join(f'{label}="%s"' for label in labels)
        return f"{name}{{{inside}}} %s" if labels else f"{name} %s"

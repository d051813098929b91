"""A report: the windows of one agent for one span, as columns.

The columns are little-endian arrays, one per field, so that the collector applies thousands of windows as a few array
operations. Entry `i` of every dense column is the same path; sparse columns name their entry. `pack` and `unpack` are exact
inverses of each other for windows in any order.
"""

import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta, Struct

from wire import WIRE_VERSION
from wire.burst import MAX_BURSTS, Burst
from wire.outcome import Outcome
from wire.plan import Nanoseconds
from wire.text import PRINTABLE, Name
from wire.window import FactName, Flag, Measure, Timed, Window

MAX_ENTRIES = 20_000
"""Most windows in one report, as many as a plan may have paths."""
MAX_SPARSE = 40 * MAX_ENTRIES
"""Most elements of one sparse column."""
MAX_FACTS = 1_000
MAX_FACT = 128
"""Longest fact in characters."""

WIDTH = {"B": 1, "h": 2, "I": 4, "Q": 8}
"""Bytes per element by array type code, the same on every platform that CPython runs on."""

DENSE: dict[str, str] = {
    "path": "Q",
    "received": "I",
    "late": "I",
    "sum_ns": "Q",
    "min_ns": "Q",
    "max_ns": "Q",
    "timed": "B",
    "flags": "B",
}
"""Columns with one element per entry, and their array type code (as of the array module; u64, u32, u8)."""

SPARSE: dict[str, tuple[tuple[str, str], ...]] = {
    "outcome": (("outcome_entry", "I"), ("outcome_code", "B"), ("outcome_count", "I")),
    "latency": (("latency_entry", "I"), ("latency_bucket", "h"), ("latency_count", "I")),
    "measure": (("measure_entry", "I"), ("measure_code", "B"), ("measure_value", "Q")),
}
"""Groups of columns of equal length: which entry, what of it, how much."""

Bytes = Annotated[bytes, Meta(max_length=8 * MAX_SPARSE)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Word = Annotated[str, Meta(max_length=64, pattern=PRINTABLE)]


class Columns(Struct, frozen=True, omit_defaults=True):
    """The windows of a report; see DENSE and SPARSE for the element type of each column."""

    path: Bytes = b""
    received: Bytes = b""
    late: Bytes = b""
    sum_ns: Bytes = b""
    min_ns: Bytes = b""
    max_ns: Bytes = b""
    timed: Bytes = b""
    flags: Bytes = b""
    outcome_entry: Bytes = b""
    outcome_code: Bytes = b""
    outcome_count: Bytes = b""
    latency_entry: Bytes = b""
    latency_bucket: Bytes = b""
    latency_count: Bytes = b""
    measure_entry: Bytes = b""
    measure_code: Bytes = b""
    measure_value: Bytes = b""
    facts: Annotated[
        tuple[
            tuple[
                Annotated[int, Meta(ge=0, lt=MAX_ENTRIES)],
                Annotated[str, Meta(max_length=32)],
                Annotated[str, Meta(max_length=MAX_FACT)],
            ],
            ...,
        ],
        Meta(max_length=MAX_FACTS),
    ] = ()
    """(entry, name, text) in printable ASCII; names that a reader does not know are skipped."""

    def __post_init__(self) -> None:
        """Raise ValueError where the columns do not fit each other."""
        entries = len(self.path) // WIDTH["Q"]
        if entries > MAX_ENTRIES:
            msg = f"{entries} entries, more than {MAX_ENTRIES}"
            raise ValueError(msg)
        for name, code in DENSE.items():
            if len(getattr(self, name)) != entries * WIDTH[code]:
                msg = f"column {name} has {len(getattr(self, name))} bytes, not {entries * WIDTH[code]}"
                raise ValueError(msg)
        for group in SPARSE.values():
            lengths = {len(getattr(self, name)) / WIDTH[code] for name, code in group}
            if len(lengths) != 1 or not lengths.pop().is_integer():
                msg = f"columns {', '.join(name for name, _ in group)} are not of one length"
                raise ValueError(msg)
        if any(entry >= entries for entry, _, _ in self.facts):
            msg = "a fact of an entry that is not there"
            raise ValueError(msg)
        # Of all together, since a pattern for each would take longer than all other columns.
        text = "".join([word for _, name, text in self.facts for word in (name, text)])
        if not (text.isascii() and text.isprintable()):
            msg = "a fact is not printable ASCII"
            raise ValueError(msg)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.path) // WIDTH["Q"]


class Health(Struct, frozen=True, omit_defaults=True):
    """How the agent itself fared in the span."""

    loop_lag_p99_ns: Count = 0
    loop_lag_max_ns: Count = 0
    throttled_ns: Count = 0
    """Time that the kernel kept us from running for our CPU limit (cgroup cpu.stat)."""
    suspended_ns: Count = 0
    """Time that the machine slept (CLOCK_BOOTTIME minus CLOCK_MONOTONIC)."""
    cpu_ns: Count = 0
    resident_bytes: Count = 0
    in_flight: Count = 0
    windows_dropped: Count = 0
    """Windows lost to a full buffer since the start."""
    unsupported: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()
    """Kinds, as `icmp/ipv6`, that cannot be sent from here."""
    refused: Annotated[dict[Word, Count], Meta(max_length=32)] = {}
    """Paths of the plan that our own limits refused, by reason."""


class Report(Struct, frozen=True, omit_defaults=True):
    """One span of one agent. (boot, sequence) names it; the collector takes each name once and in order."""

    vantage: Name
    instance: Nanoseconds
    """The collector process that this is for, as of its plan; another one asks for a fresh copy (HTTP 409)."""
    boot: Annotated[bytes, Meta(min_length=16, max_length=16)]
    """Random, chosen at the start of the agent."""
    sequence: Annotated[int, Meta(ge=1, le=2**53)]
    acknowledged: Annotated[int, Meta(ge=0, le=2**53)]
    """Highest sequence that any collector process acknowledged; what a restarted one must not add to its counters again."""
    generation: Annotated[int, Meta(ge=0, le=2**53)]
    span_ns: Annotated[int, Meta(ge=1, le=30 * 86_400_000_000_000)]
    age_ns: Annotated[int, Meta(ge=0, le=30 * 86_400_000_000_000)]
    """From the end of the span to this transmission, by the agent's monotonic clock."""
    columns: Columns
    health: Health = Health()
    merged: Annotated[int, Meta(ge=1, le=2**31)] = 1
    """Spans merged into this one while the collector was away."""
    urgent: bool = False
    leaving: bool = False
    version: Annotated[int, Meta(ge=1, le=2**31)] = WIRE_VERSION


class Acknowledgement(Struct, frozen=True, omit_defaults=True):
    """The collector's answer to a report."""

    instance: Nanoseconds
    sequence: Annotated[int, Meta(ge=0, le=2**53)]
    """Highest sequence of this boot that was taken; 0 for none."""
    generation: Annotated[int, Meta(ge=0, le=2**53)] = 0
    """Of the plan that is in force for the vantage now; 0 where the collector does not say."""
    bursts: Annotated[tuple[Burst, ...], Meta(max_length=MAX_BURSTS)] = ()
    """What to confirm now. An order is given once: where this answer is lost, so is the order."""


def _bytes(code: str, values: Iterable[int]) -> bytes:
    column = array(code, values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _values(code: str, column: bytes) -> "array[int]":
    values = array(code, column)
    if sys.byteorder == "big":
        values.byteswap()
    return values


Dense = tuple[int, int, int, int, int, int, int, int]
"""What DENSE names, of one entry."""


class Draft:
    """Columns in the making, one entry after the other."""

    def __init__(self) -> None:
        self._dense: list[Dense] = []
        self._sparse: dict[str, tuple[list[int], list[int], list[int]]] = {group: ([], [], []) for group in SPARSE}
        self._facts: list[tuple[int, str, str]] = []

    def add(
        self,
        dense: Dense,
        outcomes: Mapping[Outcome, int],
        latency: Mapping[int, int],
        measures: Mapping[Measure, int],
        facts: Mapping[FactName, str],
    ) -> None:
        """Add an entry.

        What is not printable ASCII in a fact becomes `?`, since a peer may have chosen it, and no peer can make our report
        unfit to be sent or taken.
        """
        entry = len(self._dense)
        self._dense.append(dense)
        for group, values in (("latency", latency), ("outcome", outcomes), ("measure", measures)):
            if values:
                entries, keys, counts = self._sparse[group]
                entries += [entry] * len(values)
                keys += values
                counts += values.values()
        if facts:
            self._facts += [(entry, name.value, _printable(text[:MAX_FACT])) for name, text in facts.items()]

    def columns(self) -> Columns:
        """The columns, without facts beyond MAX_FACTS.

        Raises ValueError where there are more than MAX_ENTRIES entries, OverflowError where a count does not fit its column.
        """
        dense = zip(*self._dense, strict=True) if self._dense else [()] * len(DENSE)
        made = {name: _bytes(code, values) for (name, code), values in zip(DENSE.items(), dense, strict=True)}
        for group, columns in SPARSE.items():
            made |= {name: _bytes(code, values) for (name, code), values in zip(columns, self._sparse[group], strict=True)}
        return Columns(**made, facts=tuple(self._facts[:MAX_FACTS]))


def pack(windows: Iterable[Window]) -> Columns:
    """Windows as columns, in the order given; raises what `Draft` does."""
    draft = Draft()
    for one in windows:
        dense = one.path, one.received, one.late, one.sum_ns, one.min_ns, one.max_ns, one.timed, one.flags
        draft.add(dense, {**one.failed, **one.local}, one.latency, one.measures, one.facts)
    return draft.columns()


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def unpack(columns: Columns) -> list[Window]:
    """Columns as windows: for tests and for tools, not for the collector's way in.

    Codes that this version does not know are skipped. Raises ValueError where the counts of an entry contradict each other.
    """
    dense = {name: _values(code, getattr(columns, name)) for name, code in DENSE.items()}
    rows = {
        group: list(zip(*(_values(code, getattr(columns, name)) for name, code in names), strict=True))
        for group, names in SPARSE.items()
    }
    entries = range(len(columns))
    outcomes: list[dict[Outcome, int]] = [{} for _ in entries]
    latencies: list[dict[int, int]] = [{} for _ in entries]
    measures: list[dict[Measure, int]] = [{} for _ in entries]
    facts: list[dict[FactName, str]] = [{} for _ in entries]
    try:
        for entry, code, count in rows["outcome"]:
            if code in Outcome.__members__.values():
                outcomes[entry][Outcome(code)] = count
        for entry, bucket, count in rows["latency"]:
            latencies[entry][bucket] = count
        for entry, code, value in rows["measure"]:
            if code in Measure.__members__.values():
                measures[entry][Measure(code)] = value
    except IndexError as error:
        msg = "a sparse column names an entry that is not there"
        raise ValueError(msg) from error
    for entry, name, text in columns.facts:
        if name in FactName.__members__.values():
            facts[entry][FactName(name)] = text
    return [
        Window(
            path=dense["path"][i],
            received=dense["received"][i],
            late=dense["late"][i],
            failed={word: count for word, count in outcomes[i].items() if not word.is_local},
            local={word: count for word, count in outcomes[i].items() if word.is_local},
            latency=latencies[i],
            sum_ns=dense["sum_ns"][i],
            min_ns=dense["min_ns"][i],
            max_ns=dense["max_ns"][i],
            timed=Timed(dense["timed"][i] & int(Timed.KERNEL | Timed.TCP_INFO | Timed.USER)),
            flags=Flag(dense["flags"][i] & int(Flag.UNCONFIRMED | Flag.ILL | Flag.NAT)),
            measures=measures[i],
            facts=facts[i],
        )
        for i in entries
    ]

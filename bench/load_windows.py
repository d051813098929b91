"""Reports as agents write them: the columns of one span, for the paths of a plan.

In: a plan and the number of a span. Out: columns with every path that is due in it, with latencies, histograms, a few losses,
and the measures and facts that each kind has. Deterministic: the same agent says the same in the same span.
"""

from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wire.outcome import Outcome
from wire.path import Kind
from wire.plan import Plan
from wire.report import Columns
from wire.window import FactName, Measure, Timed

LOSS: Final = 1e-4
"""Share of probes that get no answer."""
_POOL: Final = 1 << 16
_random = np.random.default_rng(1)
_JITTER: Final = np.exp(_random.standard_normal(_POOL) * 0.15)
"""Factors on a path's own latency: log-normal, as round trips are."""
_CHANCE: Final = _random.random(_POOL)
_MEASURES: Final = {
    Kind.UDP: (Measure.THROUGH_SEQUENCE,),
    Kind.HTTP: (Measure.CONNECT_NS, Measure.FIRST_BYTE_NS, Measure.TRANSFER_NS),
}
_TIMED: Final = {Kind.TCP: Timed.TCP_INFO}

REPEATED_AFTER: Final = 30
"""Spans; see agent.windows."""

Array = NDArray[Any]


class Windows:
    """The paths of one plan, as arrays: some 40 B a path."""

    def __init__(self, plan: Plan, *, entries: int = 0, loss: float = LOSS) -> None:
        """With `entries` only so many paths, and all of them in every span."""
        self._loss = loss
        paths = sorted(plan.paths, key=lambda planned: planned.path.id)[: entries or None]
        self._ids = np.array([planned.path.id for planned in paths], "<u8")
        every = [planned.interval_ms for planned in paths]
        self._interval_ms = np.array([plan.report_interval_ms] * len(paths) if entries else every, np.int64)
        self._span_ms = plan.report_interval_ms
        kinds = [planned.path.kind for planned in paths]
        self._timed = np.array([int(_TIMED.get(kind, Timed.KERNEL)) for kind in kinds], np.uint8)
        self._usual_ns = 100_000 + self._ids % 1_900_000  # 0.1 to 2 ms, by the path
        self._measures = {
            measure: np.array([measure in _MEASURES.get(kind, ()) for kind in kinds], np.bool_)
            for measures in _MEASURES.values()
            for measure in measures
        }
        self._hops = np.array([kind in {Kind.ICMP, Kind.UDP} for kind in kinds], np.bool_)
        self._status = np.array([kind is Kind.HTTP for kind in kinds], np.bool_)
        self._seed = int.from_bytes(blake2b(plan.identity.vantage.encode(), digest_size=4).digest(), "little")

    def __len__(self) -> int:
        """Number of paths."""
        return len(self._ids)

    def columns(self, number: int) -> Columns:
        """The windows of span `number`, counted from the start of the agent."""
        phase = self._ids % self._interval_ms.astype(np.uint64)
        begin = (number * self._span_ms + phase.astype(np.int64)) // self._interval_ms
        sent = ((number + 1) * self._span_ms + phase.astype(np.int64)) // self._interval_ms - begin
        due = np.flatnonzero(sent)
        sent = sent[due]
        probes, entries = int(sent.sum()), len(due)
        entry = np.repeat(np.arange(entries), sent)
        start = (self._seed + number * 7919) % _POOL
        draw = np.arange(start, start + probes) % _POOL
        kept = _CHANCE[draw] >= self._loss
        entry, lost = entry[kept], np.bincount(entry[~kept], minlength=entries)
        latency = (self._usual_ns[due][entry] * _JITTER[draw[kept]]).astype(np.int64)
        received = (sent - lost).astype("<u4")
        low, high = np.full(entries, np.iinfo(np.int64).max), np.zeros(entries, np.int64)
        np.minimum.at(low, entry, latency)
        np.maximum.at(high, entry, latency)
        total = np.zeros(entries, np.int64)
        np.add.at(total, entry, latency)
        low[received == 0] = 0
        keys, counts = np.unique(entry * 512 + np.ceil(8 * np.log2(latency / 1e9)).astype(np.int64) + 256, return_counts=True)
        missing = np.flatnonzero(lost)
        return Columns(
            path=self._ids[due].tobytes(),
            received=received.tobytes(),
            late=bytes(4 * entries),
            sum_ns=total.astype("<u8").tobytes(),
            min_ns=low.astype("<u8").tobytes(),
            max_ns=high.astype("<u8").tobytes(),
            timed=np.where(received > 0, self._timed[due], 0).astype(np.uint8).tobytes(),
            flags=bytes(entries),
            outcome_entry=missing.astype("<u4").tobytes(),
            outcome_code=bytes([int(Outcome.TIMEOUT)]) * len(missing),
            outcome_count=lost[missing].astype("<u4").tobytes(),
            latency_entry=(keys // 512).astype("<u4").tobytes(),
            latency_bucket=(keys % 512 - 256).astype("<i2").tobytes(),
            latency_count=counts.astype("<u4").tobytes(),
            **self._measured(due, received, total, number),
            facts=self._facts(due, received, number),
        )

    def _measured(self, due: Array, received: Array, total: Array, number: int) -> dict[str, bytes]:
        columns: dict[Measure, Array] = {
            measure: np.flatnonzero(which[due] & (received > 0)) for measure, which in self._measures.items()
        }
        value = {measure: total[entry] // 3 for measure, entry in columns.items()}
        if Measure.THROUGH_SEQUENCE in value:
            value[Measure.THROUGH_SEQUENCE][:] = number + 1
        return {
            "measure_entry": b"".join(entry.astype("<u4").tobytes() for entry in columns.values()),
            "measure_code": b"".join(bytes([int(measure)]) * len(entry) for measure, entry in columns.items()),
            "measure_value": b"".join(one.astype("<u8").tobytes() for one in value.values()),
        }

    def _facts(self, due: Array, received: Array, number: int) -> tuple[tuple[int, str, str], ...]:
        told = (received > 0) & ((self._ids[due] + np.uint64(number)) % np.uint64(REPEATED_AFTER) == 0)
        hops = np.flatnonzero(self._hops[due] & told).tolist()
        status = np.flatnonzero(self._status[due] & told).tolist()
        found = [(entry, FactName.HOP_LIMIT.value, "63") for entry in hops]
        return tuple([*found, *((entry, FactName.STATUS.value, "200") for entry in status)][:1000])

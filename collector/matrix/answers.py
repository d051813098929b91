"""Cells as values that can be written as JSON: the shape that the API, the command line and the lab share."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from collector.matrix.histograms import Ints, merged, quantiles
from collector.matrix.newest import NEVER
from collector.matrix.state import MEASURED, UNKNOWN, UNSAMPLED, because, states
from collector.matrix.store import Matrix
from collector.matrix.sums import Sums
from collector.matrix.table import Table, port_of
from wire.outcome import Outcome
from wire.window import Measure, Timed

MICROSECOND: Final = 1000
STATE_WORDS: Final = {MEASURED: "measured", UNKNOWN: "unknown", UNSAMPLED: "unsampled"}

Answer = dict[str, Any]


def answers(matrix: Matrix, now_ns: int, sums: Sums, span_ns: int | None, chosen: Ints) -> list[Answer]:
    """Cells by number as JSON-able values."""
    number = np.full(len(matrix.table), -1, np.int64)
    number[chosen] = np.arange(len(chosen))
    histograms = sums.histograms()
    kept = number[histograms.group] >= 0
    # The chosen are not in ascending order: sort again under their new numbers.
    own = merged(number[histograms.group[kept]], histograms.place[kept], histograms.count[kept])
    low, high = sums.min_ns[chosen], sums.max_ns[chosen]
    p50, p99 = (np.clip(quantiles(own, q, groups=len(chosen)), low, high) for q in (0.5, 0.99))
    state = states(matrix, now_ns, sums)
    failed, local = _words(sums, number)
    measures = _measures(sums, number)
    loss = sums.loss()
    newest = matrix.newest
    result = []
    for place, cell in enumerate(chosen.tolist()):
        path = matrix.table.paths[cell]
        received = int(sums.received[cell])
        answer: Answer = {
            "from": _source(matrix.table, cell),
            "to": _target(matrix.table, cell),
            "layer": path.layer.value,
            "kind": path.kind.value,
            "family": path.family.value,
            "path": f"{path.id:016x}",
            "sent": int(sums.received[cell] + sums.late[cell] + sums.failed[cell]),
            "received": received,
            "late": int(sums.late[cell]),
            "failed": failed.get(place, {}),
            "local": local.get(place, {}),
            "set_aside": {"unconfirmed": int(sums.unconfirmed[cell]), "ill": int(sums.ill[cell])},
            "loss": ratio(loss[cell]),
            "p50_us": microseconds(p50[place]),
            "p99_us": microseconds(p99[place]),
            "min_us": microseconds(float(sums.min_ns[cell])) if received else None,
            "max_us": microseconds(float(sums.max_ns[cell])) if received else None,
            "timed": Timed(int(sums.timed[cell])).word,
            "age_seconds": _age(int(newest.any_ns[cell]), now_ns),
            "state": STATE_WORDS[int(state[cell])],
            "because": because(matrix, now_ns, cell, state=int(state[cell]), sums=sums, span_ns=span_ns),
            "measures": measures.get(place, {}),
            "facts": {name.value: text for name, text in matrix.facts(cell).items()},
        }
        if state[cell] == UNSAMPLED and newest.sent[cell]:
            answer["last"] = {
                "sent": int(newest.sent[cell]),
                "lost": int(newest.lost[cell]),
                "age_seconds": _age(int(newest.good_ns[cell]), now_ns),
            }
        result.append(answer)
    return result


def _source(table: Table, cell: int) -> Answer:
    place = table.sources[cell]
    return {name: getattr(place, name) for name in ("vantage", "node", "zone", "namespace", "pod")}


def _target(table: Table, cell: int) -> Answer:
    place, path = table.targets[cell], table.paths[cell]
    words = {name: getattr(place, name) for name in ("node", "zone", "namespace", "pod", "service")}
    address = path.target.address or path.target.host
    return {"name": path.target.name, **words, "address": address, "port": port_of(path)}


def _rows(rows: tuple[Ints, Ints, Ints], number: Ints) -> Sequence[tuple[int, int, int]]:
    """(place, code, count) of the cells that have a number."""
    cell, code, count = rows
    kept = number[cell] >= 0
    return list(zip(number[cell[kept]].tolist(), code[kept].tolist(), count[kept].tolist(), strict=True))


def _words(sums: Sums, number: Ints) -> tuple[dict[int, dict[str, int]], dict[int, dict[str, int]]]:
    failed: dict[int, dict[str, int]] = {}
    local: dict[int, dict[str, int]] = {}
    for place, code, count in _rows(sums.outcomes.rows(), number):
        outcome = Outcome(code)
        (local if outcome.is_local else failed).setdefault(place, {})[outcome.word] = count
    return failed, local


def _measures(sums: Sums, number: Ints) -> dict[int, dict[str, int]]:
    measures: dict[int, dict[str, int]] = {}
    for place, code, count in _rows(sums.measures.rows(), number):
        measures.setdefault(place, {})[Measure(code).name.lower()] = count
    for cell in np.flatnonzero((sums.through > 0) & (number >= 0)).tolist():
        measures.setdefault(int(number[cell]), {})[Measure.THROUGH_SEQUENCE.name.lower()] = int(sums.through[cell])
    return measures


def ratio(value: float) -> float | None:
    """A ratio to six digits, None for NaN."""
    return None if np.isnan(value) else round(float(value), 6)


def microseconds(nanoseconds: float) -> float | None:
    """Nanoseconds as microseconds, None for NaN."""
    return None if np.isnan(nanoseconds) else round(float(nanoseconds) / MICROSECOND, 1)


def seconds(nanoseconds: int | None) -> float | None:
    """Nanoseconds as seconds, None for no span."""
    return None if nanoseconds is None else nanoseconds / 1e9


def _age(end_ns: int, now_ns: int) -> float | None:
    return None if end_ns == NEVER else round((now_ns - end_ns) / 1e9, 3)

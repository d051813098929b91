"""Cells as values that can be written as JSON: the shape that the API, the command line and the lab share."""

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from collector.matrix.catalogue import Asked, Catalogue
from collector.matrix.departed import Departed
from collector.matrix.exclusions import word_of
from collector.matrix.histograms import UPPER, Floats, quantiles
from collector.matrix.part import EXCLUDED, UNSAMPLED, Part
from collector.matrix.places import Place
from collector.matrix.slab import NEVER
from collector.matrix.sparse import ILL, MEASURE, UNCONFIRMED
from collector.matrix.state import STATE_WORDS, because, left_because
from collector.matrix.store import Matrix
from collector.matrix.table import Row
from wire.outcome import Outcome
from wire.path import Dns, Icmp, Udp
from wire.window import Measure, Timed

MICROSECOND: Final = 1000
AT_ONCE: Final = 500
"""Cells that are written between two pauses."""

Answer = dict[str, Any]


def answers(matrix: Matrix, now_ns: int, part: Part, span_ns: int | None) -> Iterator[list[Answer]]:
    """The cells of a part as JSON-able values, some at a time, in the order of their places."""
    slab = part.slab
    state = part.states(now_ns)
    histograms = part.histograms()
    low, high = (column.copy() for column in part.extremes)
    received = part.sent - part.lost
    p50, p99 = (np.clip(quantiles(histograms, q, groups=len(part)), low, high) for q in (0.5, 0.99))
    if span_ns is not None:
        _narrow(part, low, high)
    words = _words(part)
    loss = part.loss
    catalogue = matrix.table.catalogue
    result: list[Answer] = []
    for element, cell in enumerate(part.cells.tolist()):
        source = catalogue.sources[int(slab.row[cell])]
        aim, ask, path = int(slab.aim[cell]), int(slab.ask[cell]), int(slab.ids[cell])
        failed, local, aside, measures = words.get(element, _NO_WORDS)
        answer: Answer = {
            **named(catalogue, source, aim, ask, path),
            "sent": int(part.sent[element]),
            "received": int(received[element]),
            "late": int(part.late[element]),
            "failed": failed,
            "local": local,
            "set_aside": {"unconfirmed": aside.get(UNCONFIRMED, 0), "ill": aside.get(ILL, 0)},
            "loss": ratio(loss[element]),
            "p50_us": microseconds(p50[element]),
            "p99_us": microseconds(p99[element]),
            "min_us": microseconds(low[element]) if received[element] else None,
            "max_us": microseconds(high[element]) if received[element] else None,
            "timed": Timed(int(slab.timed[cell])).word,
            "age_seconds": _age(int(slab.any_ns[cell]), now_ns),
            "state": STATE_WORDS[int(state[element])],
            "because": because(matrix, now_ns, part, element, state=int(state[element]), span_ns=span_ns),
            "measures": measures,
            "facts": dict(matrix.facts(path)),
        }
        if state[element] == EXCLUDED:
            answer["excluded"] = word_of(int(part.exclusions[:, element].max()))
        if state[element] == UNSAMPLED and slab.last_sent[cell]:
            answer["last"] = _last(now_ns, int(slab.last_sent[cell]), int(slab.last_lost[cell]), int(slab.good_ns[cell]))
        result.append(answer)
        if len(result) == AT_ONCE:
            yield result
            result = []
    yield result


_NO_WORDS: Final[tuple[dict[str, int], dict[str, int], dict[int, int], dict[str, int]]] = {}, {}, {}, {}


def _words(part: Part) -> dict[int, tuple[dict[str, int], dict[str, int], dict[int, int], dict[str, int]]]:
    """Of each element that has any: failures, local failures, probes set aside, measures."""
    found: dict[int, tuple[dict[str, int], dict[str, int], dict[int, int], dict[str, int]]] = {}
    for element, code, value in zip(*(column.tolist() for column in part.words), strict=True):
        failed, local, aside, measures = found.setdefault(element, ({}, {}, {}, {}))
        if code in {UNCONFIRMED, ILL}:
            aside[code] = aside.get(code, 0) + value
        elif code < MEASURE and code != Outcome.LATE:
            outcome = Outcome(code)
            words = local if outcome.is_local else failed
            words[outcome.word] = words.get(outcome.word, 0) + value
        elif MEASURE <= code < UNCONFIRMED:
            name = Measure(code - MEASURE).name.lower()
            measures[name] = measures.get(name, 0) + value
    return found


def _narrow(part: Part, low: Floats, high: Floats) -> None:
    """Bring the extremes since the start to those of the span, which are known to a bucket of the histogram."""
    histograms = part.histograms()
    if not len(histograms.group):
        return
    first = np.concatenate(([True], histograms.group[1:] != histograms.group[:-1]))
    last = np.concatenate((first[1:], [True]))
    lower = np.concatenate(([0.0], UPPER))[histograms.place[first]]
    low[histograms.group[first]] = np.maximum(low[histograms.group[first]], lower)
    upper = UPPER[histograms.place[last]]
    high[histograms.group[last]] = np.minimum(high[histograms.group[last]], upper)


def named(catalogue: Catalogue, source: Place, aim: int, ask: int, path: int) -> Answer:
    """What identifies a cell: both ends, and how it is asked."""
    asked = catalogue.asks[ask]
    place, (name, address, network) = catalogue.targets[aim], catalogue.aims[aim]
    words = {word: getattr(place, word) for word in ("node", "zone", "namespace", "pod", "service")}
    return {
        "from": {word: getattr(source, word) for word in ("vantage", "node", "zone", "namespace", "pod")},
        "to": {"name": name, **words, "address": address, "port": asked.port, "network": network},
        "layer": asked.layer.value,
        "kind": asked.kind.value,
        "family": asked.family.value,
        "path": f"{path:016x}",
        **_asked(asked),
    }


def _asked(asked: Asked) -> Answer:
    """What tells two cells apart that ask the same target, where there is such a thing."""
    match asked.ask:
        case Icmp(packet_bytes=packet_bytes) | Udp(packet_bytes=packet_bytes) if packet_bytes:
            return {"packet_bytes": packet_bytes}
        case Dns(name=name, record=record, tcp=tcp):
            return {"question": {"name": name, "record": record.value, "tcp": tcp}}
        case _:
            return {}


def last_results(matrix: Matrix, now_ns: int, row: Row, some: Departed) -> list[Answer]:
    """Cells of a row that are there no more, by their last results."""
    catalogue = matrix.table.catalogue
    source = catalogue.sources[row.number]
    result = []
    for one in some.tolist():
        path, aim, ask, end_ns, sent, lost, place = one
        result.append(
            {
                **named(catalogue, source, aim, ask, path),
                **_NOTHING,
                "age_seconds": _age(end_ns, now_ns),
                "because": left_because(now_ns, end_ns, sent, lost),
                "facts": dict(matrix.facts(path)),
                "last": {
                    **_last(now_ns, sent, lost, end_ns),
                    "latency_us": microseconds(float(UPPER[place - 1]) * 2 ** (-1 / 16)) if place else None,
                },
            }
        )
    return result


_NOTHING: Final[Answer] = {
    "sent": 0,
    "received": 0,
    "late": 0,
    "failed": {},
    "local": {},
    "set_aside": {"unconfirmed": 0, "ill": 0},
    **dict.fromkeys(("loss", "p50_us", "p99_us", "min_us", "max_us")),
    "timed": "",
    "state": STATE_WORDS[UNSAMPLED],
    "measures": {},
}


def _last(now_ns: int, sent: int, lost: int, end_ns: int) -> Answer:
    return {"sent": sent, "lost": lost, "age_seconds": _age(end_ns, now_ns)}


def ratio(value: float) -> float | None:
    """A ratio to six digits, None for NaN."""
    return None if math.isnan(value) else round(float(value), 6)


def microseconds(nanoseconds: float) -> float | None:
    """Nanoseconds as microseconds, None for NaN."""
    return None if math.isnan(nanoseconds) else round(float(nanoseconds) / MICROSECOND, 1)


def seconds(nanoseconds: int | None) -> float | None:
    """Nanoseconds as seconds to a millisecond, None for no span."""
    return None if nanoseconds is None else round(nanoseconds / 1e9, 3)


def _age(end_ns: int, now_ns: int) -> float | None:
    return None if end_ns == NEVER else round((now_ns - end_ns) / 1e9, 3)

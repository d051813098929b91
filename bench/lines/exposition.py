"""Writing samples as Prometheus text: our encoder and prometheus-client, with the same samples in one round."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import numpy as np
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.measurement import Bar
from collector.export.names import Family
from collector.export.text import Exposition, Kept, Key

SAMPLES: Final = 100_000
_FAMILY: Final = Family("netmatrix_bench", "gauge", "Half of them whole numbers.", ("node", "direction", "layer"))
_KEYS: Final[list[Key]] = [(f"node-{n // 20}", ("in", "out")[n % 2], f"layer-{n // 2 % 10}") for n in range(SAMPLES)]


class _Rows(Collector):
    """Their way without a child for every sample."""

    def __init__(self) -> None:
        self.numbers: Sequence[float] = ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(_FAMILY.name, _FAMILY.help, labels=_FAMILY.labels)
        for key, value in zip(_KEYS, self.numbers, strict=True):
            family.add_metric(key, value)
        yield family


class Writing:
    """CPU of 100,000 samples: a scrape as every other, and the first of a process, against the cheaper of their two ways."""

    LINE: Final = "writing 100,000 samples vs prometheus-client"
    FIRST: Final = "writing 100,000 samples for the first time vs prometheus-client"
    bars = (Bar(LINE, "ratio", 1 / 15), Bar(FIRST, "ratio", None))

    def __enter__(self) -> Self:
        """Make their children and our lines."""
        self._kept = Kept()
        self._children, self._rows = CollectorRegistry(), CollectorRegistry()
        self._gauge = Gauge(_FAMILY.name, _FAMILY.help, _FAMILY.labels, registry=self._children)
        self._collector = _Rows()
        self._rows.register(self._collector)
        self._random = np.random.default_rng(1)
        _ours(self._kept, self._numbers())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Nothing stays behind."""

    def _numbers(self) -> list[float]:
        whole = self._random.integers(0, 2**40, SAMPLES // 2).tolist()
        return [*whole, *self._random.random(SAMPLES - len(whole)).tolist()]

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """Three turns of all; raises AssertionError where theirs and ours are not the same samples."""
        numbers = self._numbers()
        self._collector.numbers = numbers
        for key, value in zip(_KEYS, numbers, strict=True):
            self._gauge.labels(*key).set(value)
        ours = first = children = rows = 0.0
        for _ in range(1 if quick else 3):
            ours += _cpu(lambda: _ours(self._kept, numbers))
            children += _cpu(lambda: generate_latest(self._children))
            first += _cpu(lambda: _ours(Kept(), numbers))
            rows += _cpu(lambda: generate_latest(self._rows))
        found, wanted = _parsed(_ours(self._kept, numbers)), _parsed(generate_latest(self._rows))
        found.pop(("netmatrix_series", frozenset()))
        if found != wanted:
            raise AssertionError("the samples differ")
        theirs = min(children, rows)
        return {self.LINE: ours / theirs, self.FIRST: first / theirs}


def _ours(kept: Kept, numbers: Sequence[float]) -> bytes:
    text = Exposition(max_series=2 * SAMPLES, kept=kept)
    text.add(_FAMILY, _KEYS, numbers)
    return text.render()


def _cpu(work: Callable[[], bytes]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _parsed(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }

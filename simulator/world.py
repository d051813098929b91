"""What the collector would know, step by step: probes on their schedule, noise in bursts, faults, reports, and sums over spans.

A step is five seconds: an agent that loses something reports within one, at most once in five. Losses are seen two seconds
after the probe, which is the waiting time and that report. Other reports come every ten seconds, each with a phase of its own.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.verdict.cells import Cells, Expected, Reason
from simulator.cluster import Cluster
from simulator.faults import Fault

STEP_S: Final = 5.0
LAG_S: Final = 2.0
REPORT_S: Final = 10.0
SPANS_S: Final = (10.0, 60.0, 300.0)
SECOND: Final = 10**9


@dataclass(frozen=True, slots=True)
class Weather:
    """How a sound network loses probes."""

    base: float = 3e-5
    """Of every probe."""
    noisy: float = 0.01
    """Share of the pairs of nodes that are noisy: a chain of two states."""
    bad: float = 0.3
    """Loss of a noisy pair in its bad state."""
    begins: float = 0.03
    """Probability of a step in which a noisy pair turns bad."""
    ends: float = 0.6
    """Probability of a step in which it turns good again."""


class World:
    """See the module."""

    def __init__(self, cluster: Cluster, faults: Sequence[Fault], dice: np.random.Generator, weather: Weather) -> None:
        self.cluster = cluster
        self.now_s = 1000.0
        self._faults = faults
        self._dice = dice
        self._weather = weather
        count = len(cluster.source)
        self._interval_s = cluster.interval_ms / 1000.0
        self._phase = dice.random(count)
        self._report = dice.random(len(cluster.sources)) * REPORT_S
        self._heard = self._last_reports()
        near, far = cluster.sources.nodes.codes[cluster.source], cluster.targets.nodes.codes[cluster.target]
        pair = np.where(far >= 0, near * (cluster.nodes + 1) + far, -1)
        pairs = np.unique(pair[pair >= 0])
        noisy = dice.choice(pairs, int(len(pairs) * weather.noisy + dice.random()), replace=False)
        self._noisy = np.flatnonzero(np.isin(pair, noisy))
        self._chain = np.searchsorted(np.sort(noisy), pair[self._noisy])
        self._bad = np.zeros(len(noisy), np.bool_)
        self._steps = int(SPANS_S[-1] / STEP_S)
        self._sent: deque[NDArray[np.uint8]] = deque(maxlen=self._steps)
        self._lost: deque[NDArray[np.int64]] = deque(maxlen=self._steps)
        self._sums = [(np.zeros(count, np.int64), np.zeros(count, np.int64)) for _ in SPANS_S]

    def step(self) -> list[Cells]:
        """Another step, and what is then known, shortest span first."""
        start = self.now_s
        self.now_s = start + STEP_S
        active = [fault for fault in self._faults if fault.active(start + STEP_S / 2)]
        if any(fault.restart and start <= fault.start_s < self.now_s for fault in self._faults):
            self._forget()
        sent = (
            np.floor(self.now_s / self._interval_s + self._phase) - np.floor(start / self._interval_s + self._phase)
        ).astype(np.uint8)
        reason = np.zeros(len(sent), np.uint8)
        muted = np.zeros(len(self.cluster.sources), np.bool_)
        leaving = muted.copy()
        for fault in active:
            muted[fault.mute] = True
            if fault.reason is not Reason.JUDGED:
                reason[fault.cells] = fault.reason
                leaving[fault.mute] = True
        sent[muted[self.cluster.source]] = 0
        sent[reason != Reason.JUDGED] = 0
        lost = self._losses(sent, active)
        self._remember(sent, lost)
        self._heard = np.where(muted, self._heard, self._last_reports())
        heard = np.where(leaving, -1, ((self._heard) * SECOND).astype(np.int64))
        return [self._cells(span, index, heard, reason) for index, span in enumerate(SPANS_S)]

    @property
    def now_ns(self) -> int:
        """When the step is looked at."""
        return int((self.now_s + LAG_S) * SECOND)

    def _losses(self, sent: NDArray[np.uint8], active: Sequence[Fault]) -> NDArray[np.int64]:
        """Places of lost probes, one as often as it lost."""
        dice, weather = self._dice, self._weather
        places = [dice.integers(len(sent), size=dice.poisson(weather.base * sent.sum()))]
        turns = dice.random(len(self._bad))
        self._bad = np.where(self._bad, turns >= weather.ends, turns < weather.begins)
        noisy = self._noisy[self._bad[self._chain]]
        places.append(np.repeat(noisy, dice.binomial(sent[noisy], weather.bad)))
        places += [
            np.repeat(fault.cells, dice.binomial(sent[fault.cells], fault.rate))
            for fault in active
            if fault.rate and fault.reason is Reason.JUDGED
        ]
        every, count = np.unique(np.concatenate(places), return_counts=True)
        return np.repeat(every, np.minimum(count, sent[every]))

    def _remember(self, sent: NDArray[np.uint8], lost: NDArray[np.int64]) -> None:
        for (total, failed), span in zip(self._sums, SPANS_S, strict=True):
            back = int(span / STEP_S)
            if len(self._sent) >= back:
                total[:] -= self._sent[-back]
                np.subtract.at(failed, self._lost[-back], 1)
            total[:] += sent
            np.add.at(failed, lost, 1)
        self._sent.append(sent)
        self._lost.append(lost)

    def _forget(self) -> None:
        self._sent.clear()
        self._lost.clear()
        for total, failed in self._sums:
            total[:] = 0
            failed[:] = 0

    def _last_reports(self) -> NDArray[np.float64]:
        now = self.now_s + LAG_S
        result: NDArray[np.float64] = now - (now + self._report) % REPORT_S
        return result

    def _cells(self, span: float, index: int, heard: NDArray[np.int64], reason: NDArray[np.uint8]) -> Cells:
        cluster = self.cluster
        total, failed = self._sums[index]
        return Cells(
            start_ns=self.now_ns - int(span * SECOND),
            stop_ns=self.now_ns,
            sources=cluster.sources,
            targets=cluster.targets,
            heard_ns=heard,
            source=cluster.source,
            target=cluster.target,
            layer=cluster.layer,
            kind=cluster.kind,
            family=cluster.family,
            sent=total,
            lost=failed,
            expected=np.full(len(total), Expected.ALLOW, np.uint8),
            reason=reason,
        )

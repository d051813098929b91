"""What the collector would know, step by step: probes on their schedule, noise in bursts, faults, reports, and sums over spans.

An agent reports every ten seconds with a phase of its own, and at once when it loses something, at most once in five; what it
has not reported is not known. Losses are seen two seconds after the probe: the waiting time, and a second until that report. A
round trip says nothing of a direction; a udp probe's receipt does, with the next answer on its path. Spans are whole steps of
a report interval, as the matrix has them: at least what is asked, and less than one step more.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.verdict.cells import KINDS, Cells, Expected, Ints, Reason
from simulator.cluster import Cluster
from simulator.fault import NONE, Fault
from simulator.weather import Lost, Sky, Weather
from wire.path import Kind

STEP_S: Final = 2.5
LAG_S: Final = 2.0
REPORT_S: Final = 10.0
URGENT_S: Final = 5.0
SPANS_S: Final = (10.0, 60.0, 300.0)
SECOND: Final = 10**9
LOST: Final = 0
"""Code of a lost probe in what an agent has yet to tell; receipts have FORWARD and BACKWARD."""


class World:
    """See the module."""

    def __init__(
        self, cluster: Cluster, faults: Sequence[Fault], dice: np.random.Generator, weather: Weather, step_s: float = STEP_S
    ) -> None:
        self.cluster = cluster
        self.now_s = 1000.0
        self._faults, self._dice, self._step_s = faults, dice, step_s
        self._sky = Sky(cluster, dice, weather)
        count, agents = len(cluster.source), len(cluster.sources)
        self._interval_s = cluster.interval_ms / 1000.0
        self._phase = dice.random(count)
        self._asked = np.floor(self.now_s / self._interval_s + self._phase)
        self._report = dice.random(agents) * REPORT_S
        self._heard = self.now_s - (self.now_s + self._report) % REPORT_S
        self._away = np.zeros(agents, np.bool_)
        """Agents that did not report in the last step."""
        self._urgent = np.full(agents, -URGENT_S)
        self._udp = cluster.kind == KINDS.index(Kind.UDP)
        self._untold = np.zeros(count, np.int64)
        """Probes sent, of which no report has come yet."""
        self._unsaid = Lost(NONE, NONE)
        """The same for losses and receipts; `way` is their code."""
        self._open = Lost(NONE, NONE)
        """Lost udp probes that wait for a receipt."""
        self._total = np.zeros(count, np.int64)
        self._before: deque[Ints] = deque(maxlen=int(SPANS_S[-1] / REPORT_S) + 1)
        """The total at the start of each step of a report interval, the latest last."""
        self._said: deque[list[Lost]] = deque(maxlen=int(SPANS_S[-1] / REPORT_S) + 2)
        self._sums = [np.zeros((3, count), np.int64) for _ in SPANS_S]
        self._forget()

    @property
    def now_ns(self) -> int:
        """When the step is looked at."""
        return int((self.now_s + LAG_S) * SECOND)

    def step(self) -> list[Cells]:
        """Another step, and what is then known, shortest span first."""
        start = self.now_s
        self.now_s = start + self._step_s
        middle = start + self._step_s / 2
        if any(fault.restart and start <= fault.start_s < self.now_s for fault in self._faults):
            self._forget()
        if start // REPORT_S != self.now_s // REPORT_S:
            self._roll()
        active = [fault for fault in self._faults if fault.active(middle)]
        reason, muted, leaving = self._standing(active, middle)
        asked = np.floor(self.now_s / self._interval_s + self._phase)
        sent = (asked - self._asked).astype(np.int64)
        self._asked = asked
        idle = muted[self.cluster.source] | (reason != Reason.JUDGED)
        sent[idle] = 0
        lost = self._losses(sent, [fault for fault in active if not fault.excused(middle)])
        self._untold += sent
        self._unsaid = self._unsaid.with_(lost.places, np.full(len(lost.places), LOST)).with_(*self._receipts(sent, lost))
        self._report_in(muted, self._away & ~muted)
        self._untold[idle] = 0
        self._away = muted
        heard = np.where(leaving, -1, (self._heard * SECOND).astype(np.int64))
        return [self._cells(index, heard, reason) for index in range(len(SPANS_S))]

    def _standing(
        self, active: Sequence[Fault], now_s: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
        """Why cells are not judged, which agents are not heard, and which of them nobody expects to hear."""
        reason = np.zeros(len(self.cluster.source), np.uint8)
        muted = np.zeros(len(self.cluster.sources), np.bool_)
        leaving = muted.copy()
        for fault in active:
            muted[fault.mute] = True
            if fault.excused(now_s):
                reason[fault.cells] = fault.reason
                leaving[fault.mute] = True
        return reason, muted, leaving

    def _losses(self, sent: Ints, active: Sequence[Fault]) -> Lost:
        """Lost probes, one by one; none twice, and a request before its reply."""
        dice = self._dice
        lost = self._sky.losses(sent, self._step_s)
        for fault in active:
            for part in fault.parts:
                cells = np.repeat(part.cells, dice.binomial(sent[part.cells], part.rate))
                lost = lost.with_(cells, np.full(len(cells), part.way))
        order = np.lexsort((lost.ways, lost.places))
        places, ways = lost.places[order], lost.ways[order]
        first = np.searchsorted(places, places)
        kept = np.arange(len(places)) - first < sent[places]
        return Lost(places[kept], ways[kept])

    def _receipts(self, sent: Ints, lost: Lost) -> Lost:
        """Receipts that came in this step: an answer on the same path tells of all that got lost before it."""
        waiting = self._open
        if len(waiting.places):
            failed = np.bincount(np.searchsorted(places := np.unique(lost.places), lost.places), minlength=len(places))
            gone = np.zeros(len(waiting.places), np.int64)
            at = np.minimum(np.searchsorted(places, waiting.places), max(len(places) - 1, 0))
            if len(places):
                gone = np.where(places[at] == waiting.places, failed[at], 0)
            answered = sent[waiting.places] > gone
            told = Lost(waiting.places[answered], waiting.ways[answered])
            self._open = Lost(waiting.places[~answered], waiting.ways[~answered])
        else:
            told = Lost(NONE, NONE)
        mine = self._udp[lost.places]
        self._open = self._open.with_(lost.places[mine], lost.ways[mine])
        return told

    def _report_in(self, muted: NDArray[np.bool_], back: NDArray[np.bool_]) -> None:
        """Reports that arrive: those that are due, urgent ones, and the first of agents that are back."""
        source = self.cluster.source
        due = np.floor((self.now_s + self._report) / REPORT_S) > np.floor((self.now_s - self._step_s + self._report) / REPORT_S)
        worried = np.zeros(len(due), np.bool_)
        worried[source[self._unsaid.places[self._unsaid.ways == LOST]]] = True
        urgent = worried & (self.now_s - self._urgent >= URGENT_S)
        self._urgent[urgent & ~muted] = self.now_s
        reports = (due | urgent | back) & ~muted
        self._heard[reports] = self.now_s
        told = reports[source]
        self._total += np.where(told, self._untold, 0)
        self._untold[told] = 0
        mine = told[self._unsaid.places]
        said = Lost(self._unsaid.places[mine], self._unsaid.ways[mine])
        silent = muted[source[self._unsaid.places]]
        kept = ~mine & ~silent
        self._unsaid = Lost(self._unsaid.places[kept], self._unsaid.ways[kept])
        self._said[-1].append(said)
        for sums in self._sums:
            np.add.at(sums, (said.ways, said.places), 1)

    def _roll(self) -> None:
        """Another step of a report interval begins; the oldest of each span is left behind."""
        self._before.append(self._total.copy())
        self._said.append([])
        for sums, span in zip(self._sums, SPANS_S, strict=True):
            back = int(span / REPORT_S) + 2
            if len(self._said) >= back:
                for said in self._said[-back]:
                    np.subtract.at(sums, (said.ways, said.places), 1)

    def _forget(self) -> None:
        self._before.clear()
        self._before.append(self._total.copy())
        self._said.clear()
        self._said.append([])
        for sums in self._sums:
            sums[:] = 0

    def _cells(self, index: int, heard: Ints, reason: NDArray[np.uint8]) -> Cells:
        cluster, span = self.cluster, SPANS_S[index]
        steps = int(span / REPORT_S)
        before = self._before[-1 - steps] if len(self._before) > steps else self._before[0]
        lost, forward, backward = self._sums[index]
        return Cells(
            start_ns=int((self.now_s // REPORT_S - steps) * REPORT_S * SECOND),
            stop_ns=self.now_ns,
            sources=cluster.sources,
            targets=cluster.targets,
            heard_ns=heard,
            source=cluster.source,
            target=cluster.target,
            layer=cluster.layer,
            kind=cluster.kind,
            family=cluster.family,
            sent=np.maximum(self._total - before, lost),
            lost=lost,
            expected=np.full(len(lost), Expected.ALLOW, np.uint8),
            reason=reason,
            forward=forward,
            backward=backward,
        )

"""Judges what the matrix holds, again and again: at rest every few seconds, and at once where a report was urgent.

In: the matrix, the sessions, and urgent reports. Out: the `Judgement` in force. Reading is done in slices on the loop, all
else in a thread, so that no report waits for a verdict. A collector that has just started knows little: it judges nothing
until its matrix can be complete.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from collector.derivation import ExpectSettings
from collector.matrix.slices import Slices, finished
from collector.matrix.store import Matrix
from collector.process import give_back
from collector.sessions import AgentWord, Heard, Sessions
from collector.verdict.cause import causes
from collector.verdict.comparison import Comparer
from collector.verdict.crossing import crossing
from collector.verdict.history import Learned
from collector.verdict.incident import Memory, settled
from collector.verdict.judgement import Judgement, following
from collector.verdict.mismatch import mismatches, unproven
from collector.verdict.noise import SILENCE, Noise
from collector.verdict.reading import Reader
from collector.verdict.sample import Sample
from collector.verdict.slowness import Slowness

SECOND: Final = 10**9
PASS_NS: Final = 5 * SECOND
"""Between two passes at most, where they take no more than their share."""
LEAST_NS: Final = SECOND
"""Between two passes at least."""
IN_A_HURRY: Final = 0.1
AT_REST: Final = 0.025
"""Share of a core that judging takes: a pass over the paths of 5,000 nodes takes a quarter of a second, and in a cluster so
large some probe is lost in every one."""
UNHEARD: Final = 0.005
"""The same while no agent at all has reported since the pass before: then only time can change what is true."""
SLOWEST: Final = 3
"""By how much that makes the limits above longer at most, and twice as much while nobody reports."""
REPORTS: Final = 1.5
"""Report intervals between two passes, within these limits: each must know more than the one before."""
COMPLETE: Final = 2
"""Report intervals after which every agent has told what it knows."""
ARRIVING_NS: Final = 2 * SECOND
"""How long a report may be on its way, the waiting time of its last probes included."""
RETURNING_NS: Final = 30 * SECOND
"""After which every agent has tried again to reach a collector that was away (agent.contact)."""
MANY: Final = 100_000
"""Paths from which on what a pass took of memory is worth giving back."""
BEGUN: Final = 5
"""How often a sample is begun anew where the matrix is replanned meanwhile; after that it is taken without a pause."""

_log = structlog.get_logger()


class Judging:
    """See the module."""

    def __init__(
        self,
        matrix: Matrix,
        sessions: Sessions,
        *,
        ready: Callable[[], bool],
        settings: Callable[[], ExpectSettings] = ExpectSettings,
        cluster: str = "",
        told: Callable[[Judgement], None] = lambda _: None,
        confirm: Callable[[Mapping[str, Sequence[int]]], None] = lambda _: None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._matrix = matrix
        self._sessions = sessions
        self._ready = ready
        self._cluster = cluster
        self._told = told
        self._confirm = confirm
        """Told which paths, by vantage, to look at again at once."""
        self._doubtful: Mapping[str, Sequence[int]] = {}
        self._now_ns = now_ns
        self._report_ns = matrix.stale_after_ns // 3
        self._reader = Reader()
        self._comparer = Comparer(settings)
        self._slowness = Slowness()
        self._unproven_ns: dict[str, int] = {}
        self._noise: Noise = SILENCE
        self._memory = Memory()
        self._urgent = asyncio.Event()
        self._spent = 0.0
        """CPU seconds that reading has taken in this pass."""
        self._newest_ns = 0
        """When the newest report of the last pass arrived, and whether that was later than in the pass before."""
        self._is_news = True
        self._began_ns: int | None = None
        self._since_ns: dict[str, int] = {}
        """Since when each agent is expected."""
        self.judgement = Judgement()

    def urge(self) -> None:
        """Look again soon: an agent has lost what it did not lose before."""
        self._urgent.set()

    def learned(self) -> Learned | None:
        """What the next process may be told of what was open; None while nothing is known."""
        return self._comparer.learned(ahead_ns=time.time_ns() - self._now_ns())

    def recall(self, learned: Learned) -> None:
        """Begin with what the process before has learned; before the first pass."""
        self._comparer.recall(learned, ahead_ns=time.time_ns() - self._now_ns())

    async def follow(self) -> None:
        """Judge for ever."""
        while True:
            began_ns = self._now_ns()
            await self.look(began_ns)
            await self._rest(began_ns)

    async def look(self, now_ns: int) -> None:
        """One pass, unless it is too soon for any."""
        if self._may_judge(now_ns):
            await self._judge(now_ns)
            if self.judgement.cells >= MANY:
                await asyncio.to_thread(give_back)

    async def _judge(self, now_ns: int) -> None:
        self._spent = 0.0
        sample = await self._sampled(now_ns)
        self.judgement = await asyncio.to_thread(self._judged, sample)
        self._told(self.judgement)
        if self._doubtful:
            self._confirm(self._doubtful)

    async def _rest(self, began_ns: int) -> None:
        """Wait for the next pass: a while, or until it is urgent."""
        spent_ns = int(self.judgement.took_seconds * SECOND)
        usual_ns = min(PASS_NS, max(LEAST_NS, int(REPORTS * self._report_ns)))
        share, most_ns = (AT_REST, SLOWEST * PASS_NS) if self._is_news else (UNHEARD, 2 * SLOWEST * PASS_NS)
        pause_ns = max(usual_ns, min(int(spent_ns / share), most_ns))
        hurry_ns = min(int(spent_ns / IN_A_HURRY), SLOWEST * LEAST_NS)
        least_ns = max(LEAST_NS, hurry_ns, 2 * (self._now_ns() - began_ns))  # half of the time at most
        await asyncio.sleep(max(0, began_ns + least_ns - self._now_ns()) / SECOND)
        try:
            async with asyncio.timeout(max(0, began_ns + pause_ns - self._now_ns()) / SECOND):
                await self._urgent.wait()
        except TimeoutError:
            pass
        self._urgent.clear()

    def _may_judge(self, now_ns: int) -> bool:
        """Whether the matrix can be complete: who has not reported by then is missed, and not merely late."""
        if not self._ready():
            return False
        if self._began_ns is None:
            self._began_ns = now_ns
        age_ns = now_ns - self._began_ns
        if age_ns < COMPLETE * self._report_ns + ARRIVING_NS:
            return False
        if age_ns >= COMPLETE * self._report_ns + RETURNING_NS or self.judgement.at_ns is not None:
            return True
        return all(agent.state is not AgentWord.NEVER for agent in self._sessions.heard(now_ns))

    async def _sampled(self, now_ns: int) -> Sample:
        agents = self._sessions.heard(now_ns)
        newest_ns = max((agent.arrived_ns or 0 for agent in agents), default=0)
        self._is_news, self._newest_ns = newest_ns > self._newest_ns, newest_ns
        heard = self._heard(agents, now_ns)
        leaving = frozenset(agent.vantage for agent in agents if agent.state is AgentWord.LEAVING)

        def begun() -> Slices[Sample]:
            return self._reader.sample_in_slices(
                self._matrix, now_ns, heard=heard, leaving=leaving, windows=self._comparer.windows
            )

        for _ in range(BEGUN):
            generation, slices = self._matrix.generation, begun()
            while generation == self._matrix.generation:
                began = time.thread_time()
                try:
                    next(slices)
                except StopIteration as end:
                    sample: Sample = end.value
                    return sample
                finally:
                    self._spent += time.thread_time() - began
                await asyncio.sleep(0)
        began = time.thread_time()
        sample = finished(begun())
        self._spent += time.thread_time() - began
        return sample

    def _heard(self, agents: list[Heard], now_ns: int) -> dict[str, int]:
        """When each agent was heard of which a report is expected now."""
        excluded = {one.name for one in self._matrix.snapshot.vantages if one.excluded}
        cordoned = {node.name for node in self._matrix.snapshot.nodes if node.excluded}
        first_ns = now_ns if self._since_ns or self._began_ns is None else self._began_ns
        self._since_ns = {agent.vantage: self._since_ns.get(agent.vantage, first_ns) for agent in agents}
        heard: dict[str, int] = {}
        for agent in agents:
            if agent.state is AgentWord.LEAVING or agent.vantage in excluded or agent.node in cordoned:
                continue
            if agent.arrived_ns is not None:
                heard[agent.vantage] = agent.arrived_ns
            elif now_ns - self._since_ns[agent.vantage] > RETURNING_NS:
                heard[agent.vantage] = self._since_ns[agent.vantage]
        return heard

    def _judged(self, sample: Sample) -> Judgement:
        """On a thread: from the sample to incidents."""
        began = time.thread_time()
        compared = self._comparer.look(sample, wall_ns=time.time_ns())
        spans = [compared.spans[place] for place in sample.causal]
        found, self._noise = causes(spans, self._noise, known=self._memory.told)
        found += self._slowness.findings(sample)
        self._unproven_ns = unproven(compared, self._unproven_ns)
        found += mismatches(compared, [*found, *self._memory.findings.values()], self._unproven_ns)
        told, self._memory = settled(
            found,
            spans[0],
            self._memory,
            sample.now_ns,
            cluster=self._cluster,
            report_ns=self._report_ns,
            since=time.strftime("%H:%M:%S UTC", time.gmtime()),
        )
        self._doubtful = crossing(self._memory, sample)
        return following(
            self.judgement,
            told,
            now_ns=sample.now_ns,
            cells=len(sample),
            judged=int(spans[0].judged.sum()),
            took_seconds=self._spent + time.thread_time() - began,
            comparison=compared,
        )

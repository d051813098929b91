"""Fetches the plan when there is another one, and decides what it is worth while the collector is away.

In: answers of the collector. Out: the newest plan, and the pace at which it may run. An acknowledgement of a report names the
plan in force, so no request is held until there is another one, and a connection is enough. A plan is untrusted input: it is
bounded before it is read, it only replaces an older one, and the limits of this process apply to it whatever it says.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from enum import Enum

import structlog
from msgspec import structs

from agent.contact import Answer, Collector, Unreachable, back_off_seconds
from wire.codec import MAX_PLAN_BYTES, CodecError, decode_plan
from wire.plan import Plan, PlannedPath
from wire.report import Acknowledgement

SECOND_NS = 1_000_000_000
SAFE_AFTER_NS = 3600 * SECOND_NS
"""Without a word from the collector for this long, the agent slows down to a tenth: nobody watches what it does."""
STOP_AFTER_NS = 6 * 3600 * SECOND_NS
"""After this long it stops probing, and keeps answering its peers (fail closed)."""
SUCCEED_AFTER_NS = 300 * SECOND_NS
"""A plan of a collector that started earlier, by its clock, is taken once the newer one has been silent for this long: that is
a replacement on a machine with another clock, and not an old process that still runs."""
CONFIRMED_NS = 60 * SECOND_NS
"""The collector is asked whether there is another plan when nothing has confirmed ours for this long."""
LEAST_SECONDS = 1.0
"""From one request to the next: a collector whose answers always name another plan is not asked a thousand times a second."""
PLAN_SECONDS = 35.0
"""Longest wait for a plan: when thousands want theirs at once, it takes a collector as long as that to make them."""
LONGEST_ETAG = 128
SLOWDOWN = 10
LONGEST_INTERVAL_MS = 86_400_000

log = structlog.get_logger(__name__)


class Pace(Enum):
    """How much of the plan runs."""

    FULL = "full"
    SAFE = "safe"
    STOPPED = "stopped"


def pace_after(silence_ns: int, *, safe_after_ns: int = SAFE_AFTER_NS, stop_after_ns: int = STOP_AFTER_NS) -> Pace:
    """The pace that is right when the collector has been silent for so long."""
    if silence_ns >= stop_after_ns:
        return Pace.STOPPED
    return Pace.SAFE if silence_ns >= safe_after_ns else Pace.FULL


def paced(planned: Sequence[PlannedPath], pace: Pace) -> tuple[PlannedPath, ...]:
    """The paths at a pace: all, all at a tenth of their rate, or none."""
    match pace:
        case Pace.FULL:
            return tuple(planned)
        case Pace.SAFE:
            return tuple(
                structs.replace(one, interval_ms=min(one.interval_ms * SLOWDOWN, LONGEST_INTERVAL_MS)) for one in planned
            )
        case Pace.STOPPED:
            return ()


def supersedes(offered: Plan, current: Plan | None, silence_ns: int) -> bool:
    """Whether an offered plan replaces the current one, whose collector process was last heard `silence_ns` ago."""
    if current is None or offered.instance > current.instance:
        return True
    if offered.instance == current.instance:
        return offered.generation > current.generation
    return silence_ns >= SUCCEED_AFTER_NS


class Downlink:
    """Keeps the plan fresh. `plan` is the one in force, `pace` how much of it may run."""

    def __init__(
        self,
        collector: Collector,
        on_change: Callable[[Plan, Pace], None],
        *,
        seed: str,
        safe_after_ns: int = SAFE_AFTER_NS,
        stop_after_ns: int = STOP_AFTER_NS,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.plan: Plan | None = None
        self.pace = Pace.FULL
        self.planned_ns: int | None = None
        """When the plan was last fetched or confirmed."""
        self.unreachable_since_ns: int | None = None
        self._collector = collector
        self._on_change = on_change
        self._seed = seed
        self._safe_after_ns = safe_after_ns
        self._stop_after_ns = stop_after_ns
        self._clock = clock
        self._contact_ns = clock()
        self._instance_ns = clock()
        self._etag = ""
        self._other = asyncio.Event()

    def acknowledged(self, acknowledgement: Acknowledgement) -> None:
        """A report was answered. Where the answer names another plan than ours, that is fetched."""
        self._contacted(acknowledgement.instance)
        ours = (self.plan.instance, self.plan.generation) if self.plan is not None else (0, 0)
        if acknowledgement.instance != ours[0] or acknowledgement.generation > ours[1]:
            self._other.set()
        elif acknowledgement.generation:
            self.planned_ns = self._clock()

    def missed(self) -> None:
        """There was no answer, or none that was of use."""
        if self.unreachable_since_ns is None:
            self.unreachable_since_ns = self._clock()

    def _contacted(self, instance: int) -> None:
        """The collector answered something that only the collector would; `instance` is the process."""
        now = self._clock()
        self._contact_ns = now
        self.unreachable_since_ns = None
        if self.plan is not None and instance == self.plan.instance:
            self._instance_ns = now
        self.settle(now)

    def settle(self, now: int) -> None:
        """Change the pace where the silence asks for it."""
        pace = pace_after(now - self._contact_ns, safe_after_ns=self._safe_after_ns, stop_after_ns=self._stop_after_ns)
        if pace is not self.pace:
            self.pace = pace
            log.warning("pace changed", pace=pace.value)
            if self.plan is not None:
                self._on_change(self.plan, pace)

    async def run(self) -> None:
        """Fetch plans for ever."""
        attempt = 0
        while True:
            started = self._clock()
            self._other.clear()
            asked = {"If-None-Match": self._etag} if self._etag else {}
            try:
                answer = await self._collector.get(
                    "/agent/v1/plan",
                    {"Accept": "application/msgpack", **asked},
                    limit=MAX_PLAN_BYTES,
                    seconds=PLAN_SECONDS,
                )
                problem = self.take(answer)
                delay = answer.retry_after_seconds
            except Unreachable as failure:
                problem, delay = str(failure), 0.0
            if problem is None:
                attempt = 0
                await asyncio.sleep(max(delay, LEAST_SECONDS - (self._clock() - started) / SECOND_NS, 0.0))
                await self._until_other()
            else:
                attempt += 1
                self.missed()
                log.warning("no plan", problem=problem, attempt=attempt)
                await asyncio.sleep(max(delay, back_off_seconds(attempt, self._seed)))

    async def _until_other(self) -> None:
        """Wait until an acknowledgement names another plan, or none has confirmed ours for too long."""
        while (left := (self.planned_ns or 0) + CONFIRMED_NS - self._clock()) > 0:
            try:
                async with asyncio.timeout(left / SECOND_NS):
                    await self._other.wait()
            except TimeoutError:
                continue
            return

    def take(self, answer: Answer) -> str | None:
        """Use an answer; the problem with it in one sentence, or None."""
        if answer.status == 304 and self.plan is not None:  # noqa: PLR2004 - HTTP
            self.planned_ns = self._clock()
            self._contacted(self.plan.instance)
            return None
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            return f"the collector answered {answer.status}"
        try:
            offered = decode_plan(answer.body)
        except CodecError as error:
            return f"the plan is {error.reason}: {error}"[:200]
        now = self._clock()
        repeated = self.plan is not None and (offered.instance, offered.generation) == (
            self.plan.instance,
            self.plan.generation,
        )
        if not repeated and not supersedes(offered, self.plan, now - self._instance_ns):
            return "the plan is older than ours"
        etag = answer.etag
        # It goes into the next request: one that could not be sent, or not be read, would be the end of all plans.
        self._etag = etag if len(etag) <= LONGEST_ETAG and etag.isascii() and etag.isprintable() else ""
        self.planned_ns = now
        if not repeated:
            self.plan = offered
            self.pace = Pace.FULL
            self._on_change(offered, Pace.FULL)
        self._contacted(offered.instance)
        return None

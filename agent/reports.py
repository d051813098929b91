"""When a span ends: each report interval on a grid of the agent's own, at a change of plan, and early when it matters.

In: the plan, the open span, our own health, and first losses. Out: finished spans in the backlog. Every span belongs to
exactly one generation of the plan.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b

import structlog
from msgspec import structs

from agent.backlog import Backlog, Span
from agent.health import Pulse, Vitals, illness
from agent.windows import OpenSpan
from wire.plan import Plan

URGENT_SPACING_NS = 5_000_000_000
"""Least time between two urgent reports."""
ANSWER_SPACING_NS = 2_000_000_000
"""The same where the second one answers the collector, which waits for it, and has a limit of its own to what it asks."""
GATHER_NS = 250_000_000
"""How long an urgent report waits for others of its kind: one fault is many first losses."""

log = structlog.get_logger(__name__)


def report_phase(seed: str, interval_ns: int) -> int:
    """Where on the interval an agent reports, by a hash of its name, so that a fleet does not report in step."""
    return int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "little") % interval_ns


class Urgency:
    """When the next urgent report is due. Pure."""

    def __init__(self) -> None:
        self.due_ns: int | None = None
        self._last_ns = -URGENT_SPACING_NS

    def ask(self, now: int, *, spacing_ns: int = URGENT_SPACING_NS) -> None:
        """Something happened that somebody should hear of within a second, or as soon as the spacing permits."""
        due_ns = max(now + GATHER_NS, self._last_ns + spacing_ns)
        if self.due_ns is None or due_ns < self.due_ns:
            self.due_ns = due_ns

    def take(self, now: int) -> bool:
        """Whether the span that ends now is an urgent one."""
        if self.due_ns is None or now < self.due_ns:
            return False
        self.due_ns, self._last_ns = None, now
        return True


class Cutter:
    """Ends spans and puts them into the backlog. `state` tells what is in flight, and what cannot be sent from here."""

    def __init__(
        self,
        span: OpenSpan,
        backlog: Backlog,
        pulse: Pulse,
        vitals: Vitals,
        *,
        state: Callable[[], tuple[int, tuple[str, ...]]],
        on_cut: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._span = span
        self._backlog = backlog
        self._pulse = pulse
        self._vitals = vitals
        self._state = state
        self._on_cut = on_cut
        self._clock = clock
        self._plan: Plan | None = None
        self.refused: Mapping[str, int] = {}
        """Paths of the plan that our own limits refused, by reason."""
        self._urgency = Urgency()
        self._woken = asyncio.Event()

    def replan(self, plan: Plan, refused: Mapping[str, int]) -> None:
        """End the span of the plan before, and begin one of this plan, of which our own limits refused so many paths."""
        self.cut()
        self._plan, self.refused = plan, refused
        self._span.own_addresses = frozenset(plan.identity.addresses)
        self._woken.set()

    def hurry(self) -> None:
        """A path lost a probe after a quiet time."""
        self._urgency.ask(self._clock())
        self._woken.set()

    def answer(self) -> None:
        """A burst that the collector asked for has ended."""
        self._urgency.ask(self._clock(), spacing_ns=ANSWER_SPACING_NS)
        self._woken.set()

    def cut(self, *, urgent: bool = False, leaving: bool = False) -> None:
        """End the span that is open now."""
        now = self._clock()
        started_ns = self._span.started_ns
        if self._plan is None:
            self._span.started_ns = now
            return
        in_flight, unsupported = self._state()
        health = structs.replace(
            self._vitals.cut(self._pulse, now), in_flight=in_flight, unsupported=unsupported, refused=dict(self.refused)
        )
        ill = illness(health, now - started_ns)
        if ill is not None:
            log.warning("the agent was ill, so its windows are set aside", illness=ill, lag_max_ns=health.loop_lag_max_ns)
        columns = self._span.cut(now, report_ns=self._plan.report_interval_ms * 1_000_000, ill=ill is not None)
        span = Span(
            columns,
            started_ns=started_ns,
            ended_ns=max(now, started_ns + 1),
            generation=self._plan.generation,
            health=health,
            windows=len(columns),
            urgent=urgent,
            leaving=leaving,
        )
        self._backlog.add(span)
        self._on_cut()

    async def run(self) -> None:
        """Cut for ever, on the grid and when it is urgent."""
        while True:
            now = self._clock()
            due = self._next_cut(now)
            if self._urgency.due_ns is not None:
                due = min(due, self._urgency.due_ns) if due is not None else self._urgency.due_ns
            self._woken.clear()
            try:
                async with asyncio.timeout(None if due is None else max(due - now, 0) / 1e9):
                    await self._woken.wait()
            except TimeoutError:
                self.cut(urgent=self._urgency.take(self._clock()))

    def _next_cut(self, now: int) -> int | None:
        if self._plan is None:
            return None
        interval_ns = self._plan.report_interval_ms * 1_000_000
        return now + 1 + (report_phase(self._plan.identity.vantage, interval_ns) - now - 1) % interval_ns

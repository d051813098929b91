"""Keeps the rows of the matrix up with the plans, a few at a time.

In: plans, as they are composed, handed out and reported on. Out: `Matrix.lay` for each vantage whose plan is another, once for
every plan: at once where it goes out or its report comes in, and else in slices so short that reports do not wait for them.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from collector.discovery.snapshot import Snapshot
from collector.plan.compose import Plans
from wire.plan import Plan
from wire.report import Report

SLICE_SECONDS = 0.01
"""How long rows are laid at a time; a row takes some milliseconds more."""


class Matrix(Protocol):
    """What is asked of it; see collector.matrix.store."""

    def replan(self, snapshot: Snapshot, plans: Plans) -> None: ...  # noqa: D102 - see collector.matrix.store
    def lay(self, vantage: str, plan: Plan) -> None: ...  # noqa: D102 - see collector.matrix.store
    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None: ...  # noqa: D102 - see collector.matrix.store


class Rows:
    """See the module. `urgent` is told of each report that was taken and could not wait; `now` is in seconds."""

    def __init__(
        self, matrix: Matrix, *, urgent: Callable[[], None] = lambda: None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._matrix = matrix
        self._urgent = urgent
        self._now = now
        self._plans: Plans | None = None
        self._laid: dict[str, int] = {}
        """The generation of the plan that each row stands as."""
        self._waiting: dict[str, None] = {}
        self._more = asyncio.Event()

    def install(self, snapshot: Snapshot, plans: Plans) -> None:
        """Take other plans for another snapshot; a slice of the rows that change is laid now, and the others by `follow`."""
        self._plans = plans
        self._matrix.replan(snapshot, plans)
        self._laid = {name: generation for name, generation in self._laid.items() if name in plans}
        self._waiting = {name: None for name in plans.vantages if self._laid.get(name) != plans.generation_of(name)}
        self._slice()
        self._more.set()

    def handed(self, vantage: str, plan: Plan) -> None:
        """Lay a row as its agent is about to be told."""
        if self._plans is not None and vantage in self._plans:
            self._waiting.pop(vantage, None)
            self._laid[vantage] = plan.generation
            self._matrix.lay(vantage, plan)

    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None:
        """Take a report, for which there is a row by then; raises what the matrix does."""
        if report.vantage in self._waiting:
            self._lay(report.vantage)
        self._matrix.apply(report, arrived_ns=arrived_ns, counted=counted)
        if report.urgent:
            self._urgent()

    async def follow(self) -> None:
        """Lay the rows that wait, half of the time, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                await asyncio.sleep(SLICE_SECONDS)
                self._slice()

    def _slice(self) -> None:
        until = self._now() + SLICE_SECONDS
        while self._waiting and self._now() < until:
            self._lay(next(iter(self._waiting)))

    def _lay(self, vantage: str) -> None:
        if self._plans is not None:
            del self._waiting[vantage]
            self._laid[vantage] = self._plans.generation_of(vantage)
            self._matrix.lay(vantage, self._plans.plan(vantage))

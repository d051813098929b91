"""The agent as a whole, and the only file that sees all of it: plan -> schedule -> probe -> window -> report.

In: Settings. Out: an exit status. Everything is made here, once, and handed to whoever needs it; every task has its owner
here; and SIGTERM ends here: no new probes, a farewell to the collector, answers to the peers for a while longer, exit.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import lru_cache, partial

import structlog

from agent.backlog import Backlog
from agent.contact import Collector
from agent.downlink import Downlink, Pace, paced
from agent.export import ALIVE_WITHIN_NS, Pages, figures
from agent.health import BEAT_NS, Pulse, Vitals
from agent.journal import Sieve
from agent.limits import Limits, admit
from agent.probes import PROBERS
from agent.probes.prober import Context
from agent.reports import Cutter
from agent.resolver import Resolver, nameservers
from agent.responders.echo import EchoServer
from agent.responders.reflector import Reflector
from agent.runner import Runner
from agent.settings import Settings
from agent.uplink import Uplink
from agent.windows import OpenSpan
from wire.address import refusal
from wire.plan import Plan
from wire.report import Acknowledgement

SETTLE_NS = 2_000_000_000
"""From the first plan to the first probe: the peers have just started as well, and need their plan and keys to answer."""
PLAN_WITHIN_NS = 30_000_000_000
"""How long after its start an agent without a plan is not ready."""
LAND_SECONDS = 2.0
"""Longest wait for the runner to judge what is in flight; whatever then holds it up is cancelled."""
FLUSH_SECONDS = 3.0
"""Longest wait for the collector to take the farewell; with the wait for probes in flight it is sent within five seconds."""
DRAIN_SECONDS = 5.0
"""How long peers are still answered after the farewell, so that they learn of it before they miss us."""
LONGEST_RESTART_SECONDS = 30.0
MAX_JUDGED = 4096
"""Addresses whose place on the deny list is remembered: the list never changes while we run."""

log = structlog.get_logger(__name__)


class Agent:
    """One agent process."""

    def __init__(self, settings: Settings, sieve: Sieve) -> None:
        self._began_ns = now = time.monotonic_ns()
        self._settings = settings
        self._limits = Limits(
            max_pps=settings.max_pps,
            min_interval_ns=settings.min_interval_ns,
            max_peers=settings.max_peers,
            allow_loopback=settings.allow_loopback,
            resolvers=frozenset(nameservers(settings.resolv_conf)),
        )
        self._context = Context(
            uid=settings.pod_uid,
            permits=lru_cache(MAX_JUDGED)(lambda address: refusal(address, allow_loopback=settings.allow_loopback) is None),
            resolvers=self._limits.resolvers,
        )
        self._leaving = asyncio.Event()
        self._first_probe_ns: int | None = None

        # plan
        self._collector = Collector(settings.collector, token_file=settings.token_file, ca_file=settings.ca_file)
        self._downlink = Downlink(self._collector, self._replan, seed=settings.vantage)
        # schedule, probe
        self._span = OpenSpan(now)
        self._runner = Runner(
            PROBERS,
            self._context,
            self._limits,
            self._span,
            Resolver(settings.resolv_conf).resolve,
            on_first_loss=self._hurry,
            on_answer=self._answer_soon,
        )
        # window
        self._pulse = Pulse(now)
        self._backlog = Backlog()
        self._cutter = Cutter(
            self._span,
            self._backlog,
            self._pulse,
            Vitals(),
            state=lambda: (len(self._runner.flights), self._runner.unsupported()),
            on_cut=self._wake_uplink,
        )
        # report
        self._uplink = Uplink(
            self._collector,
            self._backlog,
            boot=os.urandom(16),
            seed=settings.vantage,
            on_contact=self._acknowledged,
            on_miss=self._downlink.missed,
        )
        # answers to the peers
        self._reflector = Reflector(self._context, settings.echo_port)
        self._echo = EchoServer(self._context, settings, settings.echo_port)

        # what it says of itself
        own = figures(
            runner=self._runner,
            backlog=self._backlog,
            cutter=self._cutter,
            downlink=self._downlink,
            uplink=self._uplink,
            pulse=self._pulse,
            sieve=sieve,
            dropped={"reflector": self._reflector.dropped, "echo": self._echo.dropped},
        )
        self._pages = Pages(own, settings.http_port, alive=self._alive, ready=self._missing)

    async def run(self) -> int:
        """Run until a signal asks to leave; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave, number)
        with ExitStack() as answering:
            self._answer(answering)
            async with self._collector.opened():
                await self._work()
        return 0

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            start = partial(_start, tasks)
            pulse = start("pulse", self._beat)
            downlink = start("downlink", self._downlink.run)
            cutter = start("cutter", self._cutter.run)
            uplink = start("uplink", self._uplink.run)
            runner = tasks.create_task(self._runner.run())
            log.info("started", vantage=self._settings.vantage, collector=self._settings.collector)
            await self._leaving.wait()
            downlink.cancel()
            self._runner.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAND_SECONDS):
                    await runner
            cutter.cancel()
            self._cutter.cut(leaving=True)
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._uplink.flushed()
            except TimeoutError:
                log.warning("left without a farewell", waiting=len(self._backlog))
            uplink.cancel()
            await asyncio.sleep(DRAIN_SECONDS)
            pulse.cancel()
        log.info("left")

    def _replan(self, plan: Plan, pace: Pace) -> None:
        admitted = admit(plan.paths, self._limits)
        paths = paced(admitted.paths, pace)
        self._context.keys = plan.keys
        self._context.addresses = frozenset(plan.identity.addresses)
        now = time.monotonic_ns()
        if self._first_probe_ns is None:
            self._first_probe_ns = now + SETTLE_NS
        refused = {**admitted.refused, **({"unreadable": plan.unreadable} if plan.unreadable else {})}
        self._cutter.replan(plan, refused)
        self._uplink.adopt(plan)
        self._runner.replan(paths, max(now, self._first_probe_ns))
        log.info(
            "plan taken",
            instance=plan.instance,
            generation=plan.generation,
            paths=len(paths),
            refused=refused,
            pace=pace.value,
        )

    def _answer(self, answering: ExitStack) -> None:
        answering.callback(self._pages.close)
        answering.callback(self._echo.close)
        answering.callback(self._reflector.close)
        port, name = self._settings.echo_port, "NETMATRIX_ECHO_PORT"
        try:
            self._reflector.open()
            self._echo.open()
            port, name = self._settings.http_port, "NETMATRIX_HTTP_PORT"
            self._pages.open()
        except OSError as error:
            raise SystemExit(f"port {port} ({name}) cannot be used: {error}") from None

    def _hurry(self) -> None:
        self._cutter.hurry()

    def _answer_soon(self) -> None:
        self._cutter.answer()

    def _acknowledged(self, acknowledgement: Acknowledgement) -> None:
        self._downlink.acknowledged(acknowledgement)
        plan = self._downlink.plan
        if acknowledgement.bursts and plan is not None and acknowledgement.instance == plan.instance:
            self._runner.confirm(acknowledgement.bursts)

    def _wake_uplink(self) -> None:
        self._uplink.wake()

    async def _beat(self) -> None:
        while True:
            # On the grid that the runner ticks on: one wake-up for both.
            await asyncio.sleep((BEAT_NS - time.monotonic_ns() % BEAT_NS) / 1e9)
            now = time.monotonic_ns()
            self._pulse.beat(now)
            self._downlink.settle(now)

    def _leave(self, number: int) -> None:
        if self._leaving.is_set():
            os._exit(128 + number)  # asked twice: at once, and nothing that might hang
        log.info("leaving", signal=signal.Signals(number).name)
        self._leaving.set()

    def _alive(self) -> bool:
        return time.monotonic_ns() - self._pulse.beaten_ns < ALIVE_WITHIN_NS

    def _missing(self) -> str | None:
        return missing(
            leaving=self._leaving.is_set(),
            planned=self._downlink.plan is not None,
            age_ns=time.monotonic_ns() - self._began_ns,
        )


def missing(*, leaving: bool, planned: bool, age_ns: int) -> str | None:
    """What an agent lacks to be ready, in a few words; None for nothing.

    A roll waits for each agent's plan, and does not stand still for as long as there is no collector to make one.
    """
    if leaving:
        return "leaving"
    return "no plan yet" if not planned and age_ns < PLAN_WITHIN_NS else None


def _start(tasks: asyncio.TaskGroup, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run `work` under the supervisor: a fault in one of the agent's own tasks must not end the others."""

    async def supervised() -> None:
        delay = 1.0
        while True:
            try:
                await work()
            except Exception:
                log.exception("task failed and is started again", task=name)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_RESTART_SECONDS)

    return tasks.create_task(supervised(), name=name)

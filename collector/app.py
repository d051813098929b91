"""The collector as a whole, and the only file that sees all of it: discovery -> plan -> intake -> matrix -> verdict -> export.

In: Settings, and an inventory or a cluster. Out: two ports that answer until it is told to stop. Everything is made here,
once, and handed to whoever needs it; every task has its owner here.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import hdrs, web

from collector.admission import Admission, SharedKeys
from collector.api.actions import Actions
from collector.api.agents import AgentPort
from collector.api.asking import Asking
from collector.api.board import Board
from collector.api.events import Beats
from collector.api.guard import Handler
from collector.api.histories import add_history
from collector.api.incidents import Written
from collector.api.known import Names
from collector.api.listener import Listener
from collector.api.operators import operator_app
from collector.api.signing import Readers
from collector.api.verdicts import Verdicts
from collector.bursts import Bursts
from collector.configuration import Configuration
from collector.discovery.snapshot import Snapshot
from collector.discovery.source import Source, StaticSource
from collector.document import bad
from collector.export.exposition import exposition_in_slices
from collector.export.own import OwnMetrics
from collector.export.text import Kept
from collector.history.keeper import Keeper, opened
from collector.history.learned import packed, unpacked
from collector.identified import identity_in, permission_in
from collector.judging import Judging
from collector.matrix.slices import Slices
from collector.matrix.store import Matrix
from collector.matrix.suspects import suspects
from collector.notify.notifier import Notifier
from collector.permission import OperatorKeys, Permission
from collector.plan.compose import PlanError, Plans
from collector.planning import Planning, rest_seconds, turn_seconds
from collector.ports import OPERATOR_CONNECTIONS, listeners, operator_runner
from collector.process import descriptors, shortage
from collector.rows import Rows
from collector.sessions import Sessions
from collector.settings import SECOND, PlanSettings
from collector.standing import Standing
from collector.verdict.judgement import Judgement
from collector.verdict.standings import standings
from collector.verification import Verification

if TYPE_CHECKING:  # its client takes 30 MiB, which an inventory does without
    from collector.discovery.cluster.source import ClusterSource
    from collector.identity.cluster import ClusterIdentity

LOOK_SECONDS = 2.0
"""How often it is looked whether there is another snapshot."""
PLANS_A_SECOND = 250
"""At what rate a large cluster is told of another inventory; a plan takes 3 ms to make."""
SILENT_AFTER = 3
"""Report intervals without a report after which nothing is known of a row."""
TOLD, LEARNED = "told", "learned"
"""Names of what the next process must know."""
OTHER_FILES = OPERATOR_CONNECTIONS + 64
"""Descriptors for all else than agents."""

_log = structlog.get_logger()


def _tell_nobody(_agents: int, _operators: int) -> None:
    """Nobody waits for the ports."""


class Collector:
    """One collector process, of an inventory file or a cluster.

    Raises BadFileError where the inventory cannot be followed.
    """

    def __init__(self, configuration: Configuration, inventory: "Path | ClusterSource") -> None:
        settings = configuration.settings
        self._configuration = configuration
        self._began_ns = time.monotonic_ns()
        self._instance = time.time_ns()
        self._own = OwnMetrics()
        self._own.follow_configuration(lambda: bool(configuration.refused), lambda: len(configuration.waiting))
        self._kept = Kept()

        # discovery
        self._identity: ClusterIdentity | None = None
        self._admission: Admission = SharedKeys()
        permission: Permission = OperatorKeys(Path(settings.operators.key_file) if settings.operators.key_file else None)
        if isinstance(inventory, Path):
            self._source: Source = StaticSource(inventory, refused=self._own.inventories_refused.inc)
        else:
            self._source = inventory
            self._own.follow_cluster(inventory)
            self._admission = self._identity = identity_in(inventory, settings.discovery, self._own)
            permission = permission_in(inventory, settings.discovery, self._own)
        self._known = asyncio.Event()
        snapshot = self._source.snapshot
        # plan
        self._planning = Planning(
            settings.plan, instance=self._instance, now_ns=self._now_ns, expect=lambda: configuration.settings.expect
        )
        try:
            plans = self._planning.compose(snapshot, generation=1)
        except PlanError as error:
            raise bad(inventory.name if isinstance(inventory, Path) else "", "", str(error)) from None
        # intake
        silent_after_ns = SILENT_AFTER * settings.plan.report
        self._sessions = Sessions(instance=self._instance, silent_after_ns=silent_after_ns)
        # matrix
        self._matrix = Matrix(
            retention_ns=settings.matrix.retention, max_bytes=settings.matrix.max_bytes, stale_after_ns=silent_after_ns
        )
        self._notifier = Notifier(
            settings.notify,
            count=self._own.count_notifications,
            announce=self._source.say,
            own_namespace=settings.discovery.namespace,
            remember=lambda: self._history.changed(TOLD) if self._history is not None else None,
        )
        self._own.follow_notifications(self._notifier.waiting)
        self._judging = Judging(
            self._matrix,
            self._sessions,
            ready=self._known.is_set,
            settings=lambda: configuration.settings.expect,
            told=self._judged,
            confirm=self._look_again,
        )
        self._rows = Rows(self._matrix, urgent=self._judging.urge)
        self._bursts = Bursts(
            settings=lambda: configuration.settings.bursts,
            find=partial(suspects, self._matrix),
            count=lambda fate, times: self._own.bursts.labels(fate.value).inc(times),
            now_ns=time.monotonic_ns,
        )
        self._board = Board(plans, handed=self._rows.handed)
        self._agents = AgentPort(
            admission=self._admission,
            board=self._board,
            sessions=self._sessions,
            matrix=self._rows,
            refuse=self._own.refused,
            took=self._own.took,
            confirm=self._bursts.took,
            now_ns=time.monotonic_ns,
        )
        # export
        self._standing = Standing(
            configuration=configuration,
            source=self._source,
            identity=self._identity,
            sessions=self._sessions,
            own=self._own,
        )
        self._beats = Beats()
        failed = self._own.history_failures.inc
        file = opened(settings.history.file, failed)
        asking = Asking(self._matrix, time.monotonic_ns)
        self._written = Written(epoch_ns=self._instance - self._began_ns, deliveries=self._notifier.deliveries.of)
        whole = self._written.all_of
        self._history = Keeper(file, self._matrix, finished=asking.finished, whole=whole, failed=failed) if file else None
        if self._history is not None:
            self._recall(self._history)
        self._actions = Actions(
            permission=permission,
            bursts=self._bursts,
            matrix=self._matrix,
            report_seconds=lambda: configuration.settings.plan.report / SECOND,
            refused=self._own.unasked,
            reads=settings.operators.sign_in == "all",
            verify=Verification(
                self._matrix, snapshot=lambda: self._source.snapshot, settings=lambda: configuration.settings.expect
            ),
        )
        self._operators = operator_app(
            matrix=self._matrix,
            sessions=self._sessions,
            plans=lambda: self._board.plans,
            metrics=self._metrics,
            now_ns=time.monotonic_ns,
            ready=self._known.is_set,
            standing=lambda now_ns: self._standing.answer(self._board, now_ns=now_ns),
            verdicts=Verdicts(lambda: self._judging.judgement, self._written, self._history, Names(self._matrix).exists),
            beats=self._beats,
            actions=self._actions,
            sign_in=settings.operators.sign_in,
            readers=Readers(permission, refused=self._own.unasked) if settings.operators.sign_in == "all" else None,
            cluster=self._identity is not None,
            hosts=settings.operators.hosts,
            refused=self._own.unasked,
        )
        add_history(self._operators, self._history)
        self._install(snapshot, plans)

    async def run(self, stop: asyncio.Event, *, listening: Callable[[int, int], None] = _tell_nobody) -> None:
        """Serve until told to stop; `listening` is told the port for agents and the one for operators."""
        runners = self._agents.runner(), operator_runner(self._operators, self._own.unasked)
        tls = self._identity.tls if self._identity is not None else None
        agents, operators = listeners(
            self._configuration.settings, *runners, name=self._configuration.name, tls=tls, dropped=self._own.dropped
        )
        self._agents.prove, self._actions.prove = agents.prove, operators.prove

        async def answered(request: web.Request, _response: web.StreamResponse) -> None:
            # Signed in or not, who sends a whole request is as known as anybody will be here, and so may be a crowd.
            operators.prove(request, yields=True)

        @web.middleware
        async def asked(request: web.Request, handler: Handler) -> web.StreamResponse:
            # A question is whole with its head, and its answer may take longer than a connection has to prove itself.
            if request.method != hdrs.METH_POST:
                operators.prove(request, yields=True)
            return await handler(request)

        self._operators.middlewares.insert(0, asked)
        self._operators.on_response_prepare.append(answered)
        async with AsyncExitStack() as serving:
            for runner in runners:
                await runner.setup()
                serving.push_async_callback(runner.cleanup)
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(one)
                    for one in (
                        self._serve(agents),
                        operators.serve(),
                        self._rows.follow(),
                        self._judge(),
                        self._notifier.follow(),
                        self._source.follow(),
                        self._follow(),
                        *(one.follow() for one in (self._identity, self._history) if one is not None),
                    )
                ]
                _log.info(
                    "listening",
                    agents=agents.port,
                    operators=operators.port,
                    tls=bool(self._identity or self._configuration.settings.agents.tls),
                )
                listening(agents.port, operators.port)
                await stop.wait()
                for task in running:
                    task.cancel()
            self._board.release()
            if self._history is not None:
                await self._history.end()
        _log.info("stopped")

    async def _serve(self, agents: Listener) -> None:
        """Answer agents as soon as it is known which there are: until then they wait, and nobody is turned away."""
        if self._source.ready:
            self._known.set()
        await self._known.wait()
        await agents.serve()

    async def _follow(self) -> None:
        """Follow what exists and the clock with plans."""
        if self._identity is not None:
            self._planning.secret = await self._identity.begun()
        rest = 0.0
        while True:
            await asyncio.sleep(max(LOOK_SECONDS, rest))
            began, plans = time.monotonic(), self._board.plans
            await self._look()
            if self._board.plans is plans and self._planning.is_due(plans):
                await self._turn(plans)
            rest = rest_seconds(time.monotonic() - began)

    async def _look(self) -> None:
        """Follow what exists, and the configuration: whole or not at all, the plans that come of it included."""
        wrong, running = self._configuration.refused, self._configuration.settings
        candidate = await asyncio.to_thread(self._configuration.changed)
        if candidate is not None:
            self._source.configure(candidate.settings)
        if await self._source.changed() or candidate is not None:
            fault = await self._replan(self._source.snapshot, (candidate.settings if candidate else running).plan)
            if candidate is None:
                self._refuse_inventory(fault)
            elif not fault:
                self._configuration.take(candidate)
                self._notifier.configure(candidate.settings.notify)
            else:
                self._source.configure(running)
                self._configuration.refuse(f"{self._configuration.name}: {fault}")
        if self._configuration.refused and self._configuration.refused != wrong:
            self._source.complain(self._configuration.refused)
        if self._source.ready:
            self._known.set()

    async def _turn(self, plans: Plans) -> None:
        """Put the plans of another slot, or with other keys, in force: where they rotate, over the time of a slot."""
        following = await asyncio.to_thread(self._planning.turned, plans)
        self._board.publish(
            following, over_seconds=turn_seconds(self._planning.settings.rotation.slot) if plans.rotates else 0.0
        )

    async def _replan(self, snapshot: Snapshot, settings: PlanSettings) -> str:
        """Put plans in force where others are needed; why there are none for this, or nothing."""
        if self._planning.is_planned(snapshot, settings):
            self._matrix.exclude(snapshot)
            return ""
        generation = self._board.plans.generation + 1
        try:
            plans = await asyncio.to_thread(self._planning.compose, snapshot, generation=generation, settings=settings)
        except PlanError as error:
            return str(error)
        self._install(snapshot, plans)
        self._board.publish(plans, over_seconds=len(plans) / PLANS_A_SECOND if plans.rotates else 0.0)
        return ""

    async def _judge(self) -> None:
        """Judge for ever."""
        while True:
            try:
                await self._judging.follow()
            except Exception:  # noqa: BLE001 - a fault in a verdict must not end the measuring; the age of the last is exported
                _log.exception("a pass of verdicts failed, the last judgement stays")
                await asyncio.sleep(LOOK_SECONDS)

    def _judged(self, judgement: Judgement) -> None:
        """Let whoever follows judgements know of another one."""
        self._notifier.hear(judgement)
        self._source.tell(standings(judgement))
        if self._history is not None:
            self._history.hear(judgement)
        self._beats.beat()

    def _recall(self, history: Keeper) -> None:
        """Begin with what the process before has told, and with what it has learned."""
        self._notifier.recall(history.recalled(TOLD))
        history.remember(TOLD, self._notifier.memory)
        learned = unpacked(history.recalled(LEARNED) or b"")
        if learned is not None:
            self._judging.recall(learned)
        history.remember(LEARNED, lambda: None if (known := self._judging.learned()) is None else packed(known))

    def _look_again(self, paths: Mapping[str, Sequence[int]]) -> None:
        """Burst over some paths by vantage, as far as the cluster's rate has room for it."""
        self._bursts.ask(one for vantage, ids in paths.items() for one in suspects(self._matrix, vantage, ids))

    def _refuse_inventory(self, fault: str) -> None:
        if fault:
            self._own.inventories_refused.inc()
            _log.warning("no plan for this inventory, the last ones stay in force", because=fault)

    def _now_ns(self) -> int:
        """By the time of our start and the monotonic clock since: a wall clock that jumps changes no keys and no slots."""
        return self._instance + time.monotonic_ns() - self._began_ns

    def _install(self, snapshot: Snapshot, plans: Plans) -> None:
        """Let everything but the agents know of other plans. They are told last, so whatever they send is expected."""
        self._sessions.replan(snapshot)
        self._rows.install(snapshot, plans)
        self._bursts.install(plans.total_packets_per_second, plans.vantages)
        self._admission.install(snapshot.vantages)
        _log.info("planned", generation=plans.generation, vantages=len(plans), paths=plans.paths, stretched=plans.stretched)
        if short := shortage(descriptors(), len(plans), others=OTHER_FILES):
            _log.warning("too few descriptors", because=short)
        for note in plans.notes:
            _log.warning("the plan is not as configured", because=note)

    def _metrics(self, now_ns: int) -> Slices[bytes]:
        export = self._configuration.settings.export
        self._standing.scraped()
        began_ns = time.monotonic_ns()
        cluster = yield from exposition_in_slices(
            self._matrix,
            self._sessions,
            self._board.plans,
            now_ns=now_ns,
            max_series=export.max_series,
            pairs=export.pairs,
            kept=self._kept,
            judgement=self._judging.judgement,
        )
        self._own.exposition_seconds.set((time.monotonic_ns() - began_ns) / 1e9)
        return cluster + self._own.render()

"""The agent's own /metrics, /healthz and /readyz, which work without the collector.

In: the parts of the agent, read at the moment of a scrape. Out: Prometheus text, and two yes or no. No metric is named after a
peer or a path: the matrix is the collector's. Liveness asks whether the event loop turns, and nothing else.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web

from agent.backlog import Backlog
from agent.downlink import Downlink, Pace
from agent.health import Pulse
from agent.journal import Sieve
from agent.reports import Cutter
from agent.runner import Runner
from agent.uplink import Uplink

ALIVE_WITHIN_NS = 30_000_000_000
"""A loop that has not beaten for this long is stuck, not slow."""
SCRAPE_SECONDS = 10.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_CONNECTIONS = 64
"""Beyond, the oldest yields to the newest, so that no crowd of silent ones takes our descriptors or keeps a probe out."""

Values = Mapping[tuple[str, ...], float]


def release() -> str:
    """Version of the installed distribution; `unknown` in a bare source tree."""
    try:
        return version("netmatrix")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: its name without `netmatrix_agent_`, its help, its labels, and where its values come from."""

    name: str
    description: str
    read: Callable[[], Values]
    labels: tuple[str, ...] = ()
    counter: bool = False


def exposition(figures: tuple[Figure, ...]) -> str:
    """Prometheus text format 0.0.4. The library for it would be another 4 MiB resident on every node."""
    lines = []
    for figure in figures:
        name = f"netmatrix_agent_{figure.name}{'_total' * figure.counter}"
        lines += [f"# HELP {name} {figure.description}", f"# TYPE {name} {'counter' if figure.counter else 'gauge'}"]
        for values, value in sorted(figure.read().items()):
            labels = ",".join(f'{label}="{_escaped(word)}"' for label, word in zip(figure.labels, values, strict=True))
            lines.append(f"{name}{{{labels}}} {float(value)!r}" if labels else f"{name} {float(value)!r}")
    return "\n".join([*lines, ""])


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def figures(
    *,
    runner: Runner,
    backlog: Backlog,
    cutter: Cutter,
    downlink: Downlink,
    uplink: Uplink,
    pulse: Pulse,
    sieve: Sieve,
    dropped: Mapping[str, Mapping[str, int]],
    clock: Callable[[], int] = time.monotonic_ns,
) -> tuple[Figure, ...]:
    """Every metric of the agent; this is the only place where their names are. `dropped` is by responder and reason."""

    def one(read: Callable[[], float]) -> Callable[[], Values]:
        return lambda: {(): read()}

    def since(moment: int | None) -> float:
        return 0.0 if moment is None else (clock() - moment) / 1e9

    return (
        Figure("build_info", "Version of netmatrix; always 1.", lambda: {(release(),): 1.0}, ("version",)),
        Figure(
            "probes",
            "Probes by kind and by what became of them.",
            lambda: {(kind.value, word): float(count) for (kind, word), count in runner.counts.items()},
            ("kind", "outcome"),
            counter=True,
        ),
        Figure("probes_in_flight", "Probes that are not judged yet.", one(lambda: len(runner.flights))),
        Figure(
            "unsupported",
            "Kinds of the plan that cannot be sent from here; always 1.",
            lambda: {tuple(word.split("/", 1)): 1.0 for word in runner.unsupported()},
            ("kind", "family"),
        ),
        Figure(
            "refused_paths",
            "Paths of the plan that the limits of this process refuse, by reason.",
            lambda: {(reason,): float(count) for reason, count in cutter.refused.items()},
            ("reason",),
        ),
        Figure("loop_lag_max_seconds", "Longest lag of the event loop since the last report.", one(lambda: pulse.max_ns / 1e9)),
        Figure("plan_age_seconds", "Since the plan was last fetched or confirmed.", one(lambda: since(downlink.planned_ns))),
        Figure(
            "plan_generation", "Generation of the plan in force.", one(lambda: downlink.plan.generation if downlink.plan else 0)
        ),
        Figure(
            "collector_unreachable_seconds",
            "How long no plan could be had; 0 while it can.",
            one(lambda: since(downlink.unreachable_since_ns)),
        ),
        Figure(
            "pace",
            "How much of the plan runs; 1 for the pace in force.",
            lambda: {(pace.value,): float(pace is downlink.pace) for pace in Pace},
            ("pace",),
        ),
        Figure(
            "reports",
            "Attempts to report, by what became of them.",
            lambda: {(word,): float(count) for word, count in uplink.counts.items()},
            ("outcome",),
            counter=True,
        ),
        Figure("buffer_spans", "Spans that the collector has not got yet.", one(lambda: len(backlog))),
        Figure("buffer_bytes", "Memory of all spans that are kept.", one(lambda: backlog.size_bytes)),
        Figure(
            "buffer_merged",
            "Spans merged into another one while the collector was away.",
            one(lambda: backlog.spans_merged),
            counter=True,
        ),
        Figure(
            "buffer_dropped",
            "Windows lost to a full buffer or refused for good.",
            one(lambda: backlog.windows_dropped),
            counter=True,
        ),
        Figure(
            "requests_dropped",
            "Requests of strangers and malformed ones that were not answered, by responder and reason.",
            lambda: {(name, reason): float(count) for name, counts in dropped.items() for reason, count in counts.items()},
            ("responder", "reason"),
            counter=True,
        ),
        Figure(
            "log_lines_left_out", "Log lines left out because there were too many.", one(lambda: sieve.suppressed), counter=True
        ),
    )


def application(figures: tuple[Figure, ...], *, alive: Callable[[], bool], ready: Callable[[], str | None]) -> web.Application:
    """The three pages. `ready` says what is still missing in one sentence, or None."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(figures).encode(), headers={"Content-Type": CONTENT_TYPE})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if alive() else web.Response(status=503, text="the event loop does not turn\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = ready()
        return web.Response(text="ok\n") if missing is None else web.Response(status=503, text=f"{missing}\n")

    app = web.Application(client_max_size=1024)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


@asynccontextmanager
async def serving(app: web.Application, port: int) -> AsyncIterator[None]:
    """Listen on all addresses of both families for as long as the context lasts; raises OSError where the port is taken."""
    # Slow and endless headers end with keepalive_timeout, whose default is over an hour; nothing here reads a body.
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=SCRAPE_SECONDS, max_line_size=2048, max_field_size=2048, shutdown_timeout=1.0
    )
    await runner.setup()
    make = runner.server
    assert make is not None  # noqa: S101 - it exists once the runner is set up

    def admitted() -> asyncio.BaseProtocol:
        crowd = make.connections
        if len(crowd) >= MAX_CONNECTIONS:
            crowd[0].force_close()
        return make()

    try:
        server = await asyncio.get_running_loop().create_server(admitted, None, port, backlog=MAX_CONNECTIONS)
        try:
            yield
        finally:
            server.close()
    finally:
        await runner.cleanup()

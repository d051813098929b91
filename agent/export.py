"""The agent's own /metrics, /healthz and /readyz, which work without the collector.

In: the parts of the agent, read at the moment of a scrape. Out: Prometheus text, and two yes or no. No metric is named after a
peer or a path: the matrix is the collector's. Liveness asks whether the event loop turns, and nothing else.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent import VERSION
from agent.backlog import Backlog
from agent.downlink import Downlink, Pace
from agent.health import Pulse
from agent.journal import Sieve
from agent.reports import Cutter
from agent.responders.one_answer import OneAnswerServer, Page, Request
from agent.runner import Runner
from agent.uplink import Uplink

ALIVE_WITHIN_NS = 30_000_000_000
"""A loop that has not beaten for this long is stuck, not slow."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_CONNECTIONS = 64

Values = Mapping[tuple[str, ...], float]


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
        Figure("build_info", "Version of netmatrix; always 1.", lambda: {(VERSION,): 1.0}, ("version",)),
        Figure(
            "probes",
            "Probes by kind and by what became of them.",
            lambda: {(kind.value, word): float(count) for (kind, word), count in runner.counts.items()},
            ("kind", "outcome"),
            counter=True,
        ),
        Figure(
            "bursts",
            "Confirmation bursts, and refusals of them, by what became of them.",
            lambda: {(fate.value,): float(count) for fate, count in runner.bursts.counts.items()},
            ("fate",),
            counter=True,
        ),
        Figure(
            "burst_probes",
            "Probes of bursts by kind and by what became of them; they are no part of the others.",
            lambda: {
                (kind.value, "received" if outcome is None else outcome.word): float(count)
                for (kind, outcome), count in runner.bursts.probes.items()
            },
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


class Pages(OneAnswerServer):
    """The three pages. `ready` says what is still missing in one sentence, or None."""

    def __init__(
        self, figures: tuple[Figure, ...], port: int, *, alive: Callable[[], bool], ready: Callable[[], str | None]
    ) -> None:
        super().__init__(port, max_connections=MAX_CONNECTIONS)
        self._figures = figures
        self._alive = alive
        self._ready = ready

    def page(self, request: Request) -> Page | None:
        """The page of this path."""
        match request.path:
            case b"/metrics":
                return Page(exposition(self._figures).encode(), CONTENT_TYPE)
            case b"/healthz":
                return _health(None if self._alive() else "the event loop does not turn")
            case b"/readyz":
                return _health(self._ready())
        return None


def _health(problem: str | None) -> Page:
    return Page(b"ok\n") if problem is None else Page(f"{problem}\n".encode(), status=503)

"""How it stands with the collector itself: the page `/api/v1/self`, which `netmatrix check` reads too.

In: the parts, asked at the moment that somebody wants to know. Out: what each knows of itself, with numbers, words and
sentences; no secret, and no list that grows with the cluster.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter

from collector.api.board import Board
from collector.blocked import blocked_of
from collector.configuration import Configuration, written
from collector.discovery.snapshot import Snapshot
from collector.discovery.source import Source
from collector.export.own import VERSION, OwnMetrics
from collector.receivers import shown
from collector.sessions import AgentState, AgentWord, Sessions
from collector.settings import Settings

if TYPE_CHECKING:  # it needs the client, which an inventory does without
    from collector.identity.cluster import ClusterIdentity

NAMES: Final = 20
"""Most names of a list; how many there are is said beside them."""
API_SERVER: Final = ("default", "kubernetes")
"""Namespace and name of a service that is probed without being asked for; so is the echo service of our own namespace."""

Answer = dict[str, Any]


class Standing:
    """See the module."""

    def __init__(
        self,
        *,
        configuration: Configuration,
        source: Source,
        identity: "ClusterIdentity | None",
        sessions: Sessions,
        own: OwnMetrics,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration = configuration
        self._source = source
        self._identity = identity
        self._sessions = sessions
        self._own = own
        self._now = now
        self._began = now()
        self._scraped: float | None = None

    def scraped(self) -> None:
        """Somebody has read the metrics."""
        self._scraped = self._now()

    def answer(self, board: Board, *, now_ns: int) -> Answer:
        """All of it; `now_ns` is on the clock by which reports arrive."""
        snapshot, plans, now = self._source.snapshot, board.plans, self._now()
        agents = self._sessions.agents(now_ns)
        configuration, own_namespace = self._configuration, self._configuration.settings.discovery.namespace
        discovery = self._source.known()
        return {
            "version": 1,
            "release": VERSION,
            "uptime_seconds": round(now - self._began, 3),
            "ready": self._source.ready,
            "configuration": {
                "file": configuration.name,
                "refused": configuration.refused or None,
                "waiting": configuration.waiting,
                "settings": {**settings_of(configuration.settings), "notify": shown(configuration.settings.notify)},
            },
            "discovery": {
                **discovery,
                "found": {kind: len(getattr(snapshot, kind)) for kind in ("nodes", "vantages", "services", "external", "dns")},
            },
            "identity": self._known_by(),
            "plan": {
                "generation": plans.generation,
                "age_seconds": round(board.age_seconds(), 3),
                "paths": plans.paths,
                "stretched": plans.stretched,
                "notes": plans.notes,
            },
            "agents": standing_of(agents, snapshot) | {"blocked": self._blocked(agents, snapshot)},
            "notifications": self._own.notified(),
            "scrape": {"age_seconds": None if self._scraped is None else round(now - self._scraped, 3)},
            "namespaces": namespaces_of(snapshot, own=own_namespace, asking=discovery.get("asking", ())),
        }

    def _blocked(self, agents: Sequence[AgentState], snapshot: Snapshot) -> Answer:
        """Vantages whose namespace keeps them from reporting, each with the reason."""
        settings = self._configuration.settings
        unheard = [agent.vantage for agent in agents if agent.state in {AgentWord.SILENT, AgentWord.NEVER}]
        found = blocked_of(unheard, snapshot, own=settings.discovery.namespace, settings=settings.expect)
        return some(f"{name}: {because}" for name, because in found.items())

    def _known_by(self) -> Answer:
        refused = counts(self._own.reports_refused)
        if self._identity is None:
            return {"by": "keys", "refused": refused, "reviews": {}, "certificates": {}, "faults": some([])}
        return {
            "by": "tokens",
            "refused": refused,
            "reviews": counts(self._own.token_reviews),
            "certificates": {name: {"ends": ends} for name, ends in self._identity.expiries().items()},
            "faults": some(self._identity.sentences()),
        }


def settings_of(settings: Settings) -> Answer:
    """The tree of settings as it stands in a file."""
    return {field: written(getattr(settings, field)) for field in settings.__struct_fields__}


def counts(counter: Counter) -> dict[str, int]:
    """The values of a counter by its one label."""
    samples = [sample for family in counter.collect() for sample in family.samples if sample.labels]
    return {next(iter(sample.labels.values())): int(sample.value) for sample in samples}


def some(names: Iterable[str]) -> Answer:
    """How many, and the first of them."""
    listed = sorted(names)
    return {"count": len(listed), "names": listed[:NAMES]}


def standing_of(agents: Sequence[AgentState], snapshot: Snapshot) -> Answer:
    """How many agents report, who does not, and what they cannot do."""
    excluded = {one.name: one.excluded for one in snapshot.vantages if one.excluded}
    nodes = {one.node for one in snapshot.vantages if "/" not in one.name}
    unsupported: dict[str, list[str]] = {}
    for agent in agents:
        for kind in agent.health.unsupported if agent.health and agent.state is AgentWord.REPORTING else ():
            unsupported.setdefault(kind, []).append(agent.vantage)
    return {
        "expected": len(agents),
        **{word.value: some(agent.vantage for agent in agents if agent.state is word) for word in AgentWord},
        "excluded": some(f"{name}: {word}" for name, word in excluded.items()),
        "without": some(node.name for node in snapshot.nodes if node.name not in nodes),
        "unsupported": {kind: some(names) for kind, names in sorted(unsupported.items())},
    }


def namespaces_of(snapshot: Snapshot, *, own: str, asking: Iterable[str] = ()) -> Answer:
    """Between which namespaces nothing is measured for want of a vantage in the first one.

    A namespace takes part where it has a vantage or asks for one, or where a service of it is probed on request.
    """
    vantages = {one.namespace for one in snapshot.vantages if one.name.startswith(f"{one.namespace}/")} - {own}
    services = {one.namespace for one in snapshot.services if (one.namespace, one.name) != API_SERVER} - {own}
    taking_part = vantages | services | set(asking)
    without = taking_part - vantages
    targets = vantages | services
    return {
        "with_vantage": some(vantages),
        "asking_without": some(set(asking) - vantages),
        "unmeasured": {
            "pairs": sum(len(targets - {one}) for one in without),
            "from": some(one for one in without if targets - {one}),
            "to": some(targets),
        },
    }

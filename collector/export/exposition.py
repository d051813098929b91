"""What a scrape of the collector holds of the cluster: marginals by default, pairs only where they are few.

In: the matrix, the sessions and the plans of this moment. Out: Prometheus text. No metric has two node labels, but the bounded
list of the worst and, where asked for and the cluster is small, the pairs. Counters never go down while the process lives.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from collector.export import names
from collector.export.judged import add_judgement, add_reachability
from collector.export.names import Family
from collector.export.text import Exposition, Kept, Key, Number
from collector.matrix.groups import group_by
from collector.matrix.histograms import CLASSIC_SECONDS
from collector.matrix.query import ALL, DEFAULT_SPAN_NS, Wanted, worst_in_slices
from collector.matrix.slices import Slices, finished
from collector.matrix.state import census_in_slices
from collector.matrix.store import Matrix
from collector.matrix.tallies import Tallies
from collector.verdict.judgement import Judgement
from wire.path import Layer
from wire.report import Health

WORST: Final = 20
"""Paths in the list of the worst."""
MAX_PAIR_NODES: Final = 100
"""Largest cluster whose pairs are exported, if asked for."""
SECOND: Final = 1e9
UNJUDGED: Final = Judgement()


class Agent(Protocol):
    """What is exported of an agent; see collector.sessions."""

    @property
    def vantage(self) -> str: ...  # noqa: D102 - see collector.sessions.AgentState
    @property
    def node(self) -> str: ...  # noqa: D102 - the same
    @property
    def state(self) -> str: ...  # noqa: D102 - the same
    @property
    def age_seconds(self) -> float | None: ...  # noqa: D102 - the same
    @property
    def gaps(self) -> int: ...  # noqa: D102 - the same
    @property
    def health(self) -> Health | None: ...  # noqa: D102 - the same


class Sessions(Protocol):
    """Who knows the agents; see collector.sessions."""

    def agents(self, now_ns: int) -> Sequence[Agent]:
        """Every agent of the inventory."""


class Plans(Protocol):
    """What is exported of the plans; see collector.plan.compose."""

    @property
    def generation(self) -> int: ...  # noqa: D102 - see collector.plan.compose.Plans
    @property
    def stretched(self) -> float: ...  # noqa: D102 - the same


def exposition(
    matrix: Matrix,
    sessions: Sessions,
    plans: Plans,
    *,
    now_ns: int,
    max_series: int,
    pairs: bool = False,
    kept: Kept | None = None,
    judgement: Judgement = UNJUDGED,
) -> bytes:
    """One scrape of at most `max_series` series; `kept` is what the scrapes of one process share."""
    return finished(
        exposition_in_slices(
            matrix,
            sessions,
            plans,
            now_ns=now_ns,
            max_series=max_series,
            pairs=pairs,
            kept=Kept() if kept is None else kept,
            judgement=judgement,
        )
    )


def exposition_in_slices(
    matrix: Matrix,
    sessions: Sessions,
    plans: Plans,
    *,
    now_ns: int,
    max_series: int,
    pairs: bool,
    kept: Kept,
    judgement: Judgement = UNJUDGED,
) -> Slices[bytes]:
    """The same in slices; what belongs together, such as sent and lost, is of one moment."""
    text = Exposition(max_series=max_series, kept=kept)
    add_judgement(text, judgement, now_ns=now_ns)
    agents = sessions.agents(now_ns)
    yield
    yield from matrix.tell_in_slices()
    yield from _add_matrix(text, matrix, now_ns)
    _add_agents(text, agents)
    yield
    yield from _add_marginals(text, matrix.tallies)
    add_reachability(text, judgement)
    yield
    text.add(names.PLAN_GENERATION, [()], [plans.generation])
    text.add(names.PLAN_STRETCHED, [()], [plans.stretched])
    _add_rows(text, names.WORST_LOSS, (yield from _worst(matrix, now_ns)))
    _add_health(text, agents)
    yield
    if pairs and len(matrix.snapshot.nodes) <= MAX_PAIR_NODES:
        _add_pairs(text, matrix, now_ns)
    return text.render()


def _add_rows(text: Exposition, family: Family, rows: Iterable[tuple[Key, Number | None]]) -> None:
    listed = list(rows)
    text.add(family, [key for key, _ in listed], [value for _, value in listed])


def _add_matrix(text: Exposition, matrix: Matrix, now_ns: int) -> Slices[None]:
    """The matrix itself: its size, and how much of it is known."""
    cells = yield from census_in_slices(matrix, now_ns, DEFAULT_SPAN_NS)
    _add_rows(text, names.CELLS, [((word,), count) for word, count in cells.items()])
    text.add(names.MATRIX_BYTES, [()], [matrix.nbytes])
    text.add(names.MATRIX_DROPPED, [()], [matrix.dropped])
    text.add(names.UNKNOWN_PATHS, [()], [matrix.unknown_paths])
    text.add(names.UNKNOWN_CODES, [()], [matrix.unknown_codes])
    _add_rows(text, names.SET_ASIDE, [(key, values[0]) for key, values in matrix.tallies.set_aside.items()])


def _add_agents(text: Exposition, agents: Sequence[Agent]) -> None:
    words = Counter(str(agent.state) for agent in agents)
    _add_rows(text, names.AGENTS, [((word,), words[word]) for word in ("reporting", "silent", "leaving", "never")])
    who = [_who(agent) for agent in agents]
    text.add(names.AGENT_UP, who, [int(agent.state in {"reporting", "leaving"}) for agent in agents])
    text.add(names.AGENT_AGE, who, [agent.age_seconds for agent in agents])


def _add_health(text: Exposition, agents: Sequence[Agent]) -> None:
    text.add(names.AGENT_GAPS, [_who(agent) for agent in agents], [agent.gaps for agent in agents])
    known = [(_who(agent), agent.health) for agent in agents if agent.health is not None]
    who, health = [key for key, _ in known], [one for _, one in known]
    text.add(names.AGENT_LAG, who, [one.loop_lag_p99_ns / SECOND for one in health])
    text.add(names.AGENT_THROTTLED, who, [one.throttled_ns / SECOND for one in health])
    text.add(names.AGENT_CPU, who, [one.cpu_ns / SECOND for one in health])
    text.add(names.AGENT_MEMORY, who, [one.resident_bytes for one in health])
    text.add(names.AGENT_DROPPED, who, [one.windows_dropped for one in health])


def _who(agent: Agent) -> Key:
    return (agent.vantage, agent.node)


def _add_marginals(text: Exposition, tallies: Tallies) -> Slices[None]:
    """Sums by node, by zone pair, by service, name server, host and namespace pair."""
    keys, columns = tallies.nodes.columns()
    yield
    for place, family in enumerate((names.SENT, names.LOST, names.LATE, names.RECEIVED)):
        text.add(family, keys, columns[place])
        yield
    text.add(names.RTT_SUM, keys, [value / SECOND for value in columns[4]])
    yield
    seen = [(key, value) for key, value in zip(keys, columns[5], strict=True) if key[1] == "out" and key[2] in {"pod", "host"}]
    _add_rows(text, names.NAT, seen)
    yield
    _add_rows(text, names.FAILED, [(key, values[0]) for key, values in tallies.failures.items()])
    _add_rows(text, names.LOCAL, [(key, values[0]) for key, values in tallies.local.items()])
    zones = list(tallies.zones.items())
    between = [key for key, _ in zones]
    text.add(names.ZONE_SENT, between, [values[0] for _, values in zones])
    text.add(names.ZONE_LOST, between, [values[1] for _, values in zones])
    text.add_histogram(names.ZONE_RTT, CLASSIC_SECONDS, [(key, values[4:], values[3] / SECOND) for key, values in zones])
    for sent, lost, tally in (
        (names.SERVICE_SENT, names.SERVICE_LOST, tallies.services),
        (names.DNS_SENT, names.DNS_LOST, tallies.dns),
        (names.EXTERNAL_SENT, names.EXTERNAL_LOST, tallies.external),
        (names.NAMESPACE_SENT, names.NAMESPACE_LOST, tallies.namespaces),
    ):
        rows = list(tally.items())
        subjects = [key for key, _ in rows]
        text.add(sent, subjects, [values[0] for _, values in rows])
        text.add(lost, subjects, [values[1] for _, values in rows])


def _worst(matrix: Matrix, now_ns: int) -> Slices[list[tuple[Key, float]]]:
    """The paths that lose most; none where nothing is lost, so that a quiet cluster has no such series."""
    rows: list[tuple[Key, float]] = []
    for cell in (yield from worst_in_slices(matrix, now_ns, WORST, measure="loss", span_ns=DEFAULT_SPAN_NS, wanted=ALL)):
        if cell["loss"]:
            source, target = cell["from"], cell["to"]
            ends = (source["vantage"], source["node"] or "", target["name"], target["node"] or "")
            network = target.get("network") or ""
            rows.append(((*ends, cell["layer"], network, cell["kind"], cell["family"], cell["path"]), cell["loss"]))
    return rows


def _add_pairs(text: Exposition, matrix: Matrix, now_ns: int) -> None:
    by_layer = [
        (layer.value, cell)
        for layer in Layer
        for cell in group_by(matrix, now_ns, "node", "node", wanted=Wanted(layer=layer.value))["cells"]
        if cell["state"] == "measured"
    ]
    keys: list[Key] = [(cell["from"], cell["to"], layer, "") for layer, cell in by_layer]
    text.add(names.PAIR_LOSS, keys, [cell["loss"] for _, cell in by_layer])
    for family, measure in ((names.PAIR_P50, "p50_us"), (names.PAIR_P99, "p99_us")):
        text.add(family, keys, [None if cell[measure] is None else cell[measure] / 1e6 for _, cell in by_layer])

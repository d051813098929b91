"""What is expected of every cell, by classes: cells that no policy and no declaration can tell apart are asked about once.

In: a sample, and the expectations of its snapshot. Out: a number per cell into a list of expectations, which only grows while
the expectations stay the same. Nothing is asked twice, so that a pass over a million cells is a look into a table.
"""

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import numpy as np

from collector.discovery.canary import CLOSED_PORT, OPEN_PORT, canary_name
from collector.discovery.ends import Ends, Landing
from collector.discovery.snapshot import Snapshot
from collector.expectation.expected import Expectation, Expectations
from collector.matrix.catalogue import Asked
from collector.policy.ends import Connection, Pod, Protocol, node_of
from collector.policy.evaluate import Answer
from collector.verdict.cells import Expected, Ints, Numbers, Small, chunks
from collector.verdict.sample import Sample, Tables
from wire.path import Dns, Family, Kind

DENSE: Final = 4_000_000
"""Most elements of a table with a place for every combination of classes."""
CODES: Final = {
    Answer.ALLOW: Expected.ALLOW,
    Answer.DENY: Expected.DENY,
    Answer.UNSPECIFIED: Expected.UNSPECIFIED,
    Answer.UNKNOWN: Expected.UNKNOWN,
}
UNRULED: Final = Expectation(Answer.ALLOW, "none", "no policy is in force in either namespace")
NOWHERE: Final = Expectation(Answer.UNKNOWN, "none", "it is not known what is there")
NOBODY: Final = Expectation(Answer.UNKNOWN, "none", "it is not known who asks")
REWRITTEN: Final = Expectation(Answer.UNSPECIFIED, "none", "on the way the source address may be replaced by a node's")
CANARY_CLOSED: Final = Expectation(
    Answer.DENY, "canary", "the policy of the canaries closes this port", severity="critical", confirm=(2, 3)
)
CANARY_OPEN: Final = Expectation(Answer.ALLOW, "canary", "the policy of the canaries leaves this port open")
CANARY: Final = Expectation(Answer.UNSPECIFIED, "none", "a canary is asked over TCP on its two ports alone")


class Answers(NamedTuple):
    """What is expected; one element a cell."""

    number: Numbers
    """Place in `every`."""
    every: Sequence[Expectation]
    answer: Small
    """`Expected`."""

    def part(self, cells: Ints) -> "Answers":
        """Of some cells."""
        return Answers(self.number[cells], self.every, self.answer[cells])


class Question(NamedTuple):
    """How a cell asks, as policies see it."""

    protocol: Protocol
    port: int
    family: Family


class Expecting:
    """The expectations of one snapshot for the cells of one set of tables."""

    def __init__(self, snapshot: Snapshot, expectations: Expectations, ends: Ends | None = None) -> None:
        self.snapshot = snapshot
        self.expectations = expectations
        self._ends = ends or Ends(snapshot)
        self._tables: Tables | None = None
        self._ruled = _ruled(snapshot)
        self._canaries = frozenset(canary_name(pod) for pod in snapshot.pods if pod.canary)
        self._every: list[Expectation] = []
        self._codes: list[int] = []
        self._places: dict[int, int] = {}
        """Where the expectation of a key is, for keys that are in no dense table."""
        self._dense: Ints | None = None

    def answers(self, sample: Sample) -> Answers:
        """Of every cell."""
        if self._tables is not sample.tables:
            self._classify(sample.tables)
        number = np.empty(len(sample), np.int32)
        for here in chunks(len(sample)):
            number[here] = self._looked_up(sample, self._keys(sample, here), here.start)
        return Answers(number, self._every, np.array(self._codes or [0], np.uint8).take(number))

    def _classify(self, tables: Tables) -> None:
        ends, known = self._ends, self.expectations
        self._tables = tables
        self._vantages = [ends.vantages.get(end.name) for end in tables.sources.all]
        self._landings = [ends.target(end.name) for end in tables.targets.all]
        self._asked = [question(asked) for asked in tables.asks]
        numbers: dict[Hashable, int] = {}
        self._source_class = np.array(
            [-1 if pod is None else numbers.setdefault(known.class_key(pod), len(numbers)) for pod in self._vantages], np.int64
        )
        self._sources = len(numbers) + 1
        numbers = {}
        self._target_class = np.array(
            [
                numbers.setdefault(self._target_key(end.name, landings), len(numbers))
                for end, landings in zip(tables.targets.all, self._landings, strict=True)
            ],
            np.int64,
        )
        self._targets = len(numbers)
        numbers = {}
        self._connection = np.array([numbers.setdefault(one, len(numbers)) for one in self._asked], np.int64)
        self._connections = max(1, len(numbers))
        self._locate(tables)
        self._every, self._codes, self._places = [], [], {}
        size = self._sources * max(1, self._targets) * self._connections * 8
        self._dense = np.full(size, -1, np.int64) if size <= DENSE else None

    def _target_key(self, name: str, landings: Sequence[Landing]) -> Hashable:
        if name.startswith("service/") or name in self._canaries:
            return name  # what is declared may name it
        return tuple(
            (None if one.end is None else self.expectations.class_key(one.end), one.port, one.via_service, one.rewritten)
            for one in landings
        )

    def _locate(self, tables: Tables) -> None:
        """Where ends are: what is on the same node is treated apart, and so is a pod that asks itself."""
        nodes: dict[str, int] = {}

        def code(name: str) -> int:
            return nodes.setdefault(name, len(nodes)) if name else -1

        hosts = [node_of(one[0].end) if len(one) == 1 and one[0].end is not None else "" for one in self._landings]
        self._source_node = np.array([code(end.node) for end in tables.sources.all], np.int64)
        self._target_node = np.array([code(end.node) for end in tables.targets.all], np.int64)
        self._source_host = np.array([-1 if pod is None else code(node_of(pod)) for pod in self._vantages], np.int64)
        self._target_host = np.array([code(name) for name in hosts], np.int64)

    def _keys(self, sample: Sample, here: slice) -> Ints:
        source, target = sample.source[here], sample.target[here]
        host, asker = self._target_host.take(target), self._source_host.take(source)
        near = ((host >= 0) & (host == self._source_node.take(source))).astype(np.int64)
        near += 2 * ((asker >= 0) & (asker == self._target_node.take(target)))
        near += 4 * (sample.tables.vantage.take(target) == source)
        key = ((self._source_class + 1) * self._targets).take(source) + self._target_class.take(target)
        result: Ints = (key * self._connections + self._connection.take(sample.ask[here])) * 8 + near
        return result

    def _looked_up(self, sample: Sample, keys: Ints, start: int) -> Ints:
        """Of consecutive cells from `start`."""
        if self._dense is not None:
            numbers = self._dense.take(keys)
            missing = np.flatnonzero(numbers < 0)
            if not len(missing):
                return numbers
            found, first = np.unique(keys[missing], return_index=True)
            self._dense[found] = [self._asked_about(sample, start + int(missing[one])) for one in first.tolist()]
            return self._dense.take(keys)
        found, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        for key, one in zip(found.tolist(), first.tolist(), strict=True):
            if key not in self._places:
                self._places[key] = self._asked_about(sample, start + one)
        return np.array([self._places[key] for key in found.tolist()], np.int64)[inverse]

    def _asked_about(self, sample: Sample, cell: int) -> int:
        """Add the expectation of one cell; its place."""
        target = int(sample.target[cell])
        one = self._of(
            self._vantages[int(sample.source[cell])],
            sample.tables.targets[target].name,
            self._landings[target],
            self._asked[int(sample.ask[cell])],
        )
        self._every.append(one)
        self._codes.append(CODES[one.answer])
        return len(self._every) - 1

    def _of(self, source: Pod | None, name: str, landings: Sequence[Landing], asked: Question) -> Expectation:
        if name in self._canaries:
            return _of_canary(asked)
        if source is None:
            return UNRULED if not self._ruled else NOBODY
        service = self.expectations.cluster.service.get(name.partition("/")[2]) if name.startswith("service/") else None
        if service is not None and service.backings:
            return self.expectations.through(source, service, asked.port, asked.family)
        found = [self._landing(source, one, asked) for one in landings]
        if not found or all(one is NOWHERE for one in found):
            return self._unknown(source, name)
        if len({one.answer for one in found}) == 1:
            return found[0]
        opened = sum(one.answer is Answer.ALLOW for one in found)
        return Expectation(Answer.UNSPECIFIED, "none", f"{opened} of {len(found)} servers behind it are open")

    def _unknown(self, source: Pod, name: str) -> Expectation:
        """Where it is not known who answers: nothing closes the path where no policy is about either namespace."""
        spaces = {source.namespace.name, name.split("/")[1] if name.count("/") > 1 else ""}
        return NOWHERE if None in self._ruled or spaces & self._ruled else UNRULED

    def _landing(self, source: Pod, landing: Landing, asked: Question) -> Expectation:
        if landing.end is None:
            return NOWHERE
        port = asked.port if landing.port is None or asked.protocol == "ICMP" else landing.port
        connection = Connection(asked.protocol, port, asked.family, via_service=landing.via_service)
        one = self.expectations.of(source, landing.end, connection)
        return REWRITTEN if landing.rewritten and one.answer is not Answer.ALLOW else one


def _of_canary(asked: Question) -> Expectation:
    """What holds of a canary whoever asks, and whether or not policies may be read: its component has brought the policy."""
    if asked.protocol != "TCP":
        return CANARY
    return {CLOSED_PORT: CANARY_CLOSED, OPEN_PORT: CANARY_OPEN}.get(asked.port, CANARY)


def question(asked: Asked) -> Question:
    """How a path asks, as policies see it."""
    match asked.kind:
        case Kind.ICMP:
            return Question("ICMP", 0, asked.family)
        case Kind.UDP:
            return Question("UDP", asked.port or 0, asked.family)
        case Kind.DNS:
            tcp = isinstance(asked.ask, Dns) and asked.ask.tcp
            return Question("TCP" if tcp else "UDP", asked.port or 0, asked.family)
        case _:
            return Question("TCP", asked.port or 0, asked.family)


def _ruled(snapshot: Snapshot) -> frozenset[str | None]:
    """Namespaces in which policies or declarations are in force; None stands for all of them."""
    everywhere = bool(snapshot.opaque or snapshot.expectations or not snapshot.policies_read)
    spaces = {one.namespace or None for one in snapshot.policies}
    return frozenset({*spaces, None} if everywhere else spaces)

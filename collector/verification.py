"""What is probed to verify expectations now, and what the answers say of them.

In: the paths in force, what exists, and what is declared there or along with the question. Out: paths, and when their bursts
are over one line for each: expected, observed, verdict, because. What is expected is looked up before and after, and where that
is not the same nothing is said. Nothing but a planned path is ever probed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from collector.api.question import QuestionError
from collector.api.verifying import MAX_PATHS, VerifyAsked
from collector.bursts import Place, Result
from collector.derivation import ExpectSettings
from collector.discovery.ends import Ends, Landing
from collector.discovery.expecting import expectations_in
from collector.discovery.snapshot import Snapshot
from collector.document import BadFileError
from collector.expectation.compared import Control, Seen, Verdict, compared
from collector.expectation.contradictions import contradictions
from collector.expectation.document import declared
from collector.expectation.expected import Expectation, Expectations
from collector.matrix.query import Wanted
from collector.matrix.store import Matrix
from collector.matrix.suspects import Suspect, described, suspects_between
from collector.policy.ends import Connection, Protocol
from collector.policy.evaluate import Answer
from wire.path import Family, Kind

MOST_LOOKED_AT: Final = 50_000
"""Most planned paths that are looked at for one question."""
PROTOCOLS: Final[Mapping[Kind, Protocol]] = {Kind.TCP: "TCP", Kind.UDP: "UDP", Kind.ICMP: "ICMP"}
Row = dict[str, Any]


class Sight(Struct, frozen=True):
    """What exists and is expected at one moment."""

    ends: Ends
    expectations: Expectations
    listening: Mapping[str, Sequence[int]]
    """Ports that the kubelet has readiness probes on, by pod, of those that are ready."""


class _Asked(Struct, frozen=True):
    suspect: Suspect
    row: Row
    expectation: Expectation


class Verification:
    """See the module; it is what `api.verifying` asks."""

    def __init__(self, matrix: Matrix, *, snapshot: Callable[[], Snapshot], settings: Callable[[], ExpectSettings]) -> None:
        self._matrix = matrix
        self._snapshot = snapshot
        self._settings = settings
        self._under_way: dict[int, list[_Asked]] = {}
        """By the identity of the question, which whoever asked keeps until it is answered."""

    def paths(self, asked: VerifyAsked, /) -> Sequence[Suspect]:
        """Planned paths of which something is expected, and those that prove that targets listen."""
        sight = self._sight(asked)
        found = {one.suspect: one for one in self._expected(asked, sight)}
        closed = {_target(one.row) for one in found.values() if one.expectation.answer is Answer.DENY}
        wanted = [
            one for one in found.values() if one.expectation.source != "none" or (_target(one.row) in closed and _opens(one))
        ]
        wanted.sort(key=lambda one: (one.expectation.source != "declared", one.suspect))
        if not wanted and not sight.expectations.declared:
            raise QuestionError("nothing is expected of any planned path")
        self._under_way[id(asked)] = wanted[:MAX_PATHS]
        return [one.suspect for one in wanted[:MAX_PATHS]]

    def answer(self, asked: VerifyAsked, results: Mapping[Place, Result], /) -> dict[str, Any]:
        """A line for each path, and what is wrong with the declarations themselves."""
        before, sight = self._under_way.pop(id(asked), []), self._sight(asked)
        seen = [_seen(results.get((one.suspect.vantage, one.suspect.path), Result())) for one in before]
        reached = {_target(one.row) for one, what in zip(before, seen, strict=True) if what.is_open}
        lines = []
        for one, what in zip(before, seen, strict=True):
            control = Control(reached=_target(one.row) in reached and not what.is_open, kubelet=_listens(sight, one.row))
            now = self._of(sight, one.row)
            if now is None or (now.answer, now.name) != (one.expectation.answer, one.expectation.name):
                verdict = Verdict("excluded", "what is expected of it has changed meanwhile")
            else:
                verdict = compared(one.expectation, what, control)
            lines.append(_line(one, what, verdict))
        measured = {one.expectation.name for one in before}
        faults = [
            {"name": one.name, "because": one.because}
            for one in contradictions(sight.expectations)
            if one.sort != "policies" and _is_of(one.name, asked)
        ]
        faults += [
            {"name": one.name, "because": "no path of it is planned, so that nothing measures it"}
            for one in sight.expectations.declared
            if one.name not in measured and _is_of(one.name, asked) and one.name not in {fault["name"] for fault in faults}
        ]
        return {"verdicts": lines, "faults": faults}

    def _sight(self, asked: VerifyAsked) -> Sight:
        snapshot = self._snapshot()
        try:
            more = tuple(declared(document) for document in asked.expectations)
        except BadFileError as error:
            raise QuestionError(f"expectations: {error}") from None
        if more:
            snapshot = structs.replace(snapshot, expectations=(*snapshot.expectations, *more))
        ends = Ends(snapshot)
        listening = {f"{pod.namespace}/{pod.name}": pod.probed_ports for pod in snapshot.pods if pod.ready}
        return Sight(ends, expectations_in(snapshot, self._settings(), ends), listening)

    def _expected(self, asked: VerifyAsked, sight: Sight) -> Iterator[_Asked]:
        for suspect in suspects_between(self._matrix, Wanted(), most=MOST_LOOKED_AT)[0]:
            row = described(self._matrix, suspect)
            if row and (not asked.namespace or asked.namespace in {row["from"]["namespace"], row["to"]["namespace"]}):
                expectation = self._of(sight, row)
                if expectation is not None:
                    yield _Asked(suspect, row, expectation)

    @staticmethod
    def _of(sight: Sight, row: Row) -> Expectation | None:
        """What is expected of a cell; None where nobody knows what is at its ends. A service is all of its endpoints."""
        source = sight.ends.vantages.get(row["from"]["vantage"])
        landings = _landings(sight.ends, row)
        if source is None or not landings:
            return None
        name = str(row["to"]["name"]).removeprefix("service/") if row["layer"] == "service" else ""
        found = [
            sight.expectations.of(source, landing.end, _connection(row, landing), name if landing.via_service else "")
            for landing in landings
            if landing.end is not None
        ]
        if len(found) < len(landings) or len({one.answer for one in found}) != 1:
            return Expectation(Answer.UNSPECIFIED, "none", "its endpoints differ, or are not all known")
        return found[0]


def _landings(ends: Ends, row: Row) -> Sequence[Landing]:
    name, port = str(row["to"]["name"]), row["to"]["port"]
    behind = ends.backends(name.removeprefix("service/"), port) if name.startswith("service/") and port else ()
    return behind or ends.target(name)


def _connection(row: Row, landing: Landing) -> Connection:
    port = row["to"]["port"] or 0 if landing.port is None else landing.port
    protocol = PROTOCOLS[Kind(row["kind"])]
    return Connection(protocol, 0 if protocol == "ICMP" else port, Family(row["family"]), via_service=landing.via_service)


def _target(row: Row) -> tuple[str, int | None, str]:
    """What a control must have reached: the same port of the same target."""
    return str(row["to"]["name"]), row["to"]["port"], str(row["family"])


def _opens(one: _Asked) -> bool:
    return one.expectation.answer is Answer.ALLOW


def _seen(result: Result) -> Seen:
    return Seen(result.sent, result.lost, result.refused, confirmed=not result.unconfirmed)


def _listens(sight: Sight, row: Row) -> bool:
    name = str(row["to"]["name"])
    return name.startswith("pod/") and row["to"]["port"] in sight.listening.get(name.removeprefix("pod/"), ())


def _is_of(name: str, asked: VerifyAsked) -> bool:
    return not asked.namespace or name.partition("/")[0] == asked.namespace


def _line(one: _Asked, seen: Seen, verdict: Verdict) -> Row:
    expected = one.expectation
    return {
        **one.row,
        "port": one.row["to"]["port"],
        "expected": expected.answer.value,
        "source": expected.source,
        "observed": seen.word,
        "verdict": verdict.word,
        "because": verdict.because,
        "sent": seen.sent,
        "lost": seen.lost,
        "expectation": {"name": expected.name, "policy": expected.policy, "match": expected.match, "owner": expected.owner},
    }

"""A status is written where something changed, soon where a condition did, and else seldom."""

import json
from collections.abc import Mapping
from typing import Any, cast

from collector.discovery.cluster.client import Answer, Api
from collector.discovery.cluster.policies import EXPECTATIONS, Expected, Key
from collector.discovery.cluster.status_writer import SELDOM_SECONDS, StatusWriter
from collector.discovery.standings import Condition, Example, Standing, Truth

HERE: Key = ("ReachabilityExpectation", "shop", "here")
WIDE: Key = ("ClusterReachabilityExpectation", "", "wide")
SPEC = {"to": [{"pods": {}}], "expect": "allow"}
BEGAN = 1_800_000_000.0


def expected(
    key: Key, *, generation: int = 1, spec: Mapping[str, Any] = SPEC, said: list[dict[str, str]] | None = None
) -> Expected:
    kind, namespace, name = key
    meta = {"name": name, "uid": "u", "generation": generation, **({"namespace": namespace} if namespace else {})}
    return EXPECTATIONS[kind].read(json.dumps({"metadata": meta, "spec": spec, "status": {"conditions": said}}).encode())


def standing(key: Key, satisfied: Truth, *, ok: int = 1, examples: tuple[Example, ...] = ()) -> Standing:
    conditions = (Condition("Satisfied", satisfied, "Judged", "some paths"),)
    return Standing(*key, conditions=conditions, counts={"ok": ok}, examples=examples)


class Taking:
    """An API server that takes everything, or answers with a status of one's choice."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def ask(self, method: str, path: str, *, body: dict[str, Any], content_type: str) -> Answer:
        assert (method, content_type) == ("PATCH", "application/merge-patch+json")
        self.asked.append((path, body["status"]))
        return Answer(self.status, b"{}")


class Bench:
    """A writer with a clock that is turned by hand."""

    def __init__(self, *found: tuple[Key, Expected], status: int = 200) -> None:
        self.api = Taking(status)
        self.objects = dict(found)
        self.now = BEGAN
        self.writer = StatusWriter(cast("Api", self.api), lambda: self.objects, now=lambda: self.now)

    async def write(self) -> list[str]:
        """Write all that is due; the names, in their order."""
        names = []
        while (due := self.writer.due()) is not None:
            names.append(due[0][2])
            if not await self.writer._write(*due):
                break
        return names


async def test_what_is_told_is_written_once_at_its_object() -> None:
    bench = Bench((HERE, expected(HERE, generation=7)), (WIDE, expected(WIDE)))
    example = Example("shop/v", "pay/db-0", "TCP 5432", "broken", "x" * 1000)
    bench.writer.tell([standing(HERE, "False", examples=(example,) * 20), standing(WIDE, "True")])
    assert await bench.write() == ["wide", "here"]
    (_, first), (path, status) = bench.api.asked
    assert path == "/apis/netmatrix.io/v1alpha1/namespaces/shop/reachabilityexpectations/here/status"
    assert bench.api.asked[0][0] == "/apis/netmatrix.io/v1alpha1/clusterreachabilityexpectations/wide/status"
    assert first["observedGeneration"] == 1
    assert status["conditions"] == [
        {
            "type": "Satisfied",
            "status": "False",
            "reason": "Judged",
            "message": "some paths",
            "lastTransitionTime": "2027-01-15T08:00:00Z",
            "observedGeneration": 7,
        }
    ]
    assert status["counts"] == {"ok": 1}
    assert len(status["examples"]) == 10
    assert status["examples"][0].keys() == {"from", "to", "port", "verdict", "because"}
    assert len(status["examples"][0]["because"]) == 256
    bench.now += 1000
    assert await bench.write() == []


async def test_counts_are_written_seldom_and_a_condition_at_once() -> None:
    bench = Bench((HERE, expected(HERE)))
    bench.writer.tell([standing(HERE, "True", ok=1)])
    assert await bench.write() == ["here"]
    bench.now += 1
    bench.writer.tell([standing(HERE, "True", ok=2)])
    assert await bench.write() == []
    bench.writer.tell([standing(HERE, "False", ok=2)])
    assert await bench.write() == ["here"]
    bench.writer.tell([standing(HERE, "False", ok=3)])
    bench.now += SELDOM_SECONDS
    assert await bench.write() == ["here"]
    assert bench.api.asked[-1][1]["conditions"][0]["lastTransitionTime"] == "2027-01-15T08:00:01Z", "which is when it changed"


async def test_a_restart_changes_no_time_at_which_a_condition_became_what_it_is() -> None:
    before = [{"type": "Satisfied", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    bench = Bench((HERE, expected(HERE, said=before)))
    bench.writer.tell([standing(HERE, "True")])
    await bench.write()
    assert bench.api.asked[0][1]["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


async def test_a_change_of_the_object_is_answered() -> None:
    bench = Bench((HERE, expected(HERE)))
    bench.writer.tell([standing(HERE, "True")])
    await bench.write()
    bench.objects[HERE] = expected(HERE, generation=2)
    assert await bench.write() == ["here"]


async def test_one_that_is_gone_or_not_told_of_is_left_alone() -> None:
    bench = Bench((WIDE, expected(WIDE)))
    bench.writer.tell([standing(HERE, "True")])
    assert await bench.write() == []


async def test_one_that_is_not_understood_says_so() -> None:
    bench = Bench((HERE, expected(HERE, spec={**SPEC, "expect": "perhaps"})))
    assert await bench.write() == ["here"]
    (condition,) = bench.api.asked[0][1]["conditions"]
    assert (condition["status"], condition["reason"]) == ("Unknown", "NotUnderstood")
    assert condition["message"] == "spec.expect: perhaps is not allowed; allowed are allow, deny, none"


async def test_what_is_refused_is_not_asked_again_and_without_the_right_nothing_is() -> None:
    bench = Bench((HERE, expected(HERE)), (WIDE, expected(WIDE)), status=422)
    bench.writer.tell([standing(HERE, "True"), standing(WIDE, "True")])
    assert await bench.write() == ["wide", "here"]
    bench = Bench((HERE, expected(HERE)), (WIDE, expected(WIDE)), status=403)
    bench.writer.tell([standing(HERE, "True"), standing(WIDE, "True")])
    assert await bench.write() == ["wide"]


def test_a_status_that_is_written_is_no_change_of_the_object() -> None:
    said = [{"type": "Satisfied", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    assert expected(HERE) == expected(HERE, said=said)
    assert expected(HERE) != expected(HERE, generation=2)

"""Whatever an API server does, what is followed ends up as a fresh list would have it, and is never a part of one.

The stand-in keeps a history as etcd does, and answers, breaks and lies as a script says; tests/cluster/test_stand_in.py asks
the same of it and of a real one.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.discovery.cluster import follower as module
from collector.discovery.cluster.client import Answer, Api, ApiAwayError, Stream
from collector.discovery.cluster.follower import Follower
from collector.discovery.cluster.resource import Resource

FAULTS = (
    "none",
    "away",
    "busy",
    "forbidden",
    "gone",
    "not json",
    "half a line",
    "broken",
    "garbage",
    "error event",
    "gone event",
    "nonsense type",
    "no version",
    "closed",
    "compacted",
)
NAMES = "abc"


class QuietError(Exception):
    """Nothing more happens."""


@dataclass
class History:
    """The states that there were, as etcd keeps them; and the script of what goes wrong."""

    script: list[str]
    changes: list[list[tuple[str, int]]]
    """What happens before each request: to an object, 0 for its end and else its new value."""
    states: list[dict[str, int]] = field(default_factory=lambda: [{}])
    events: list[tuple[str, str, int]] = field(default_factory=list)
    floor: int = 0
    lists: int = 0

    def change(self) -> str:
        """Let time pass; the fault of this request."""
        for name, value in self.changes.pop(0) if self.changes else ():
            state = dict(self.states[-1])
            if value == 0 and name not in state:
                continue
            before = state.pop(name, None)
            if value:
                state[name] = value
            self.states.append(state)
            kind = "DELETED" if not value else "MODIFIED" if before else "ADDED"
            self.events.append((kind, name, value or before or 0))
        fault = self.script.pop(0) if self.script else "none"
        if fault == "compacted":
            self.floor = len(self.states) - 1
        return fault

    async def ask(self, _method: str, _path: str, query: Sequence[tuple[str, str]]) -> Answer:
        fault, asked = self.change(), dict(query)
        token = asked.get("continue", "")
        self.lists += not token
        match fault:
            case "away" | "broken" | "closed":
                raise ApiAwayError("away")
            case "busy":
                return Answer(429, b"", 1.0)
            case "forbidden":
                return Answer(403, b'{"message": "no"}')
            case "gone":
                return Answer(410, b"")
            case "not json" | "garbage" | "half a line":
                return Answer(200, b'{"metadata": {"resourceV')
        version, start = map(int, token.split(":")) if token else (len(self.states) - 1, 0)
        if version < self.floor:
            return Answer(410, b"{}")
        state = sorted(self.states[version].items())
        metadata = {"resourceVersion": str(version)}
        if start + 2 < len(state):
            metadata["continue"] = f"{version}:{start + 2}"
        items = [thing(name, value, version) for name, value in state[start : start + 2]]
        return Answer(200, json.dumps({"metadata": metadata, "items": items}).encode())

    @asynccontextmanager
    async def stream(self, _path: str, query: Sequence[tuple[str, str]], *, silence_seconds: float) -> AsyncIterator[Stream]:
        assert silence_seconds > 60
        fault, asked = self.change(), dict(query)
        status = {"busy": 503, "forbidden": 403, "gone": 410}.get(fault, 200)
        if fault == "away":
            raise ApiAwayError("away")
        yield cast("Stream", Said(self, fault, int(asked["resourceVersion"]), status))


@dataclass
class Said:
    """A stream that is cut into bits without regard to lines."""

    history: History
    fault: str
    version: int
    status: int
    retry_after: float | None = None

    async def bits(self) -> AsyncIterator[bytes]:
        if self.version < self.history.floor:
            yield event("ERROR", {"kind": "Status", "code": 410})
            return
        lines = [
            event(kind, thing(name, value, number))
            for number, (kind, name, value) in enumerate(self.history.events, 1)
            if number > self.version
        ]
        lines.append(event("BOOKMARK", thing("", 0, max(self.version, len(self.history.events)))))
        half = len(lines) // 2
        bad = {
            "not json": b"\xff\xfe{\n",
            "garbage": b"garbage\n",
            "error event": event("ERROR", {"kind": "Status", "code": 500}),
            "gone event": event("ERROR", {"kind": "Status", "code": 410}),
            "nonsense type": event("EXPLODED", thing("a", 9, 99)),
            "no version": event("ADDED", {"metadata": {"name": "z"}}),
        }.get(self.fault)
        text = b"".join([*lines[:half], bad] if bad else lines)
        if self.fault == "half a line":
            text = text[: len(text) * 2 // 3]
        for start in range(0, len(text), 37):
            yield text[start : start + 37]
        if self.fault == "broken":
            raise ApiAwayError("broken")
        if self.fault in {"none", "compacted"} and not self.history.script and not self.history.changes:
            raise QuietError


def thing(name: str, value: int, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "s", "resourceVersion": str(version)}, "value": value}


def event(kind: str, body: object) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


class _Thing(msgspec.Struct):
    value: int


def _read(content: bytes | msgspec.Raw) -> int:
    return msgspec.json.decode(content, type=_Thing).value


async def no_time(_seconds: float) -> None:
    """Waiting takes none here."""


async def followed(history: History) -> tuple[Follower[int], list[dict[str, int]]]:
    """Follow to the end, and what was to be seen whenever there was a change."""
    seen: list[dict[str, int]] = []
    follower: Follower[int] = Follower(
        cast("Api", history),
        Resource("", "pods", _read),
        changed=lambda *_: seen.append({key[1]: value for key, value in follower.objects.items()}),
        unread=lambda: None,
        sleep=no_time,
    )
    with pytest.raises(QuietError):
        await follower.follow()
    return follower, seen


CHANGES = st.lists(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3)), max_size=4), max_size=12)


@settings(max_examples=400, deadline=None)
@given(script=st.lists(st.sampled_from(FAULTS), max_size=25), changes=CHANGES)
async def test_survive_14_any_order_of_events_and_faults_ends_as_a_fresh_list_would(
    script: list[str], changes: list[list[tuple[str, int]]]
) -> None:
    history = History(script, changes)
    follower, seen = await followed(history)
    assert dict(follower.objects.items()) == {("s", n): v for n, v in history.states[-1].items()}
    assert follower.listed
    assert all(state in history.states for state in seen), "never a state that there was not"


async def test_survive_16_the_old_state_stays_until_the_new_one_is_whole() -> None:
    full: list[tuple[str, int]] = [("a", 1), ("b", 1), ("c", 1)]
    history = History(["none", "none", "gone event", "none", "compacted"], [full, [], [], [], [("a", 2)]])
    follower, seen = await followed(history)
    assert seen == [{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 1, "c": 1}]
    assert history.lists == 3, "the first, the one that expired after a page, and the one that came to its end"
    assert follower.objects == {("s", "a"): 2, ("s", "b"): 1, ("s", "c"): 1}


async def test_survive_14_what_goes_while_nobody_watches_is_gone_after_the_next_list() -> None:
    history = History(["none", "none", "gone event"], [[("a", 1), ("b", 1)], [], [("a", 0)], []])
    follower, seen = await followed(history)
    assert follower.objects == {("s", "b"): 1}
    assert seen[-1] == {"b": 1}


async def test_one_object_that_is_not_understood_is_left_out_alone_also_where_it_was_understood_before() -> None:
    unread = []

    def read(content: bytes | msgspec.Raw) -> int:
        if (value := _read(content)) == 3:
            raise ValueError("three\nis\x1b[31m none")
        return value

    history = History([], [[("a", 3), ("b", 1)], [("b", 2), ("c", 1)], [("c", 3)], []])
    follower: Follower[int] = Follower(
        cast("Api", history),
        Resource("", "pods", read),
        changed=lambda *_: None,
        unread=lambda: unread.append(1),
        sleep=no_time,
    )
    with pytest.raises(QuietError):
        await follower.follow()
    assert follower.objects == {("s", "b"): 2}
    assert len(unread) == 2


async def test_a_line_without_an_end_takes_no_more_memory_than_an_object_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 1000)
    history = History([], [[("a", 1)]])
    bits: list[int] = []

    async def endless(_said: Said) -> AsyncIterator[bytes]:
        while len(bits) < 60:
            bits.append(1)
            yield b"x" * 100
        raise QuietError

    monkeypatch.setattr(Said, "bits", endless)
    follower, _ = await followed(history)
    assert follower.objects == {("s", "a"): 1}
    assert history.lists > 1, "it was given up, and asked for anew"


def test_what_is_followed_must_be_in_the_table_of_rights() -> None:
    with pytest.raises(KeyError, match="configmaps"):
        Follower(cast("Api", None), Resource("", "configmaps", _read), changed=lambda *_: None, unread=lambda: None)

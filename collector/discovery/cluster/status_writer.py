"""Writes at expectations how it stands with them, through their status alone.

In: standings, as often as anybody likes. Out: at most one request in a while, and for one object only where something changed:
soon where a condition did, and else now and then. What cannot be written is tried again later; nothing waits for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from collector.discovery.cluster.client import Api, ApiAwayError, reason_of
from collector.discovery.cluster.policies import EXPECTATIONS, Expected, Key, Unreadable
from collector.discovery.cluster.rights import right
from collector.discovery.standings import MAX_EXAMPLES, Condition, Standing

EVERY_SECONDS = 1.0
"""Between two requests."""
SELDOM_SECONDS = 30.0
"""Between two of one object whose conditions say the same as before."""
REFUSED_SECONDS = 300.0
"""After it was refused."""
LONGEST_MESSAGE: Final = 1024
LONGEST_REASON: Final = 256
PLURALS: Final = {kind: resource.name for kind, resource in EXPECTATIONS.items()}
NEVER: Final = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
"""What is answered in vain however often it is asked."""

_log = structlog.get_logger()


class _Written(NamedTuple):
    """What stands at an object, since when, and when it was written."""

    standing: Standing
    generation: int
    since: Mapping[str, tuple[str, str]]
    """Status of each condition, and the time at which it became that."""
    at: float


class StatusWriter:
    """See the module. `objects` are those that there are, by kind, namespace and name."""

    def __init__(
        self, api: Api, objects: Callable[[], Mapping[Key, Expected]], *, now: Callable[[], float] = time.time
    ) -> None:
        for plural in PLURALS.values():
            right("netmatrix.io", f"{plural}/status", "patch")
        self._api = api
        self._objects = objects
        self._now = now
        self._wanted: dict[Key, Standing] = {}
        self._written: dict[Key, _Written] = {}
        self._said = ""

    def tell(self, standings: Iterable[Standing]) -> None:
        """How it stands with all of them now."""
        self._wanted = {(one.kind, one.namespace, one.name): one for one in standings}

    async def follow(self) -> None:
        """Write, for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            due = self.due()
            if due is not None and not await self._write(*due):
                await asyncio.sleep(REFUSED_SECONDS)

    def due(self) -> tuple[Key, Standing] | None:
        """What is to be written next: of all that is due, what was written longest ago."""
        objects = self._objects()
        self._written = {key: one for key, one in self._written.items() if key in objects}
        standings = {key: self._standing(key, found) for key, found in objects.items()}
        found = [
            (self._written[key].at if key in self._written else 0.0, key)
            for key, standing in standings.items()
            if standing is not None and self._is_due(key, standing, objects[key].generation)
        ]
        if not found:
            return None
        key = min(found)[1]
        standing = standings[key]
        return None if standing is None else (key, standing)

    def _standing(self, key: Key, found: Expected) -> Standing | None:
        """How it stands with an object: that it is not understood, or what we were told."""
        if not isinstance(found.said, Unreadable):
            return self._wanted.get(key)
        condition = Condition("Satisfied", "Unknown", "NotUnderstood", found.said.because)
        return Standing(*key, conditions=(condition,))

    def _is_due(self, key: Key, standing: Standing, generation: int) -> bool:
        before = self._written.get(key)
        if before is None or standing.truths != before.standing.truths or generation != before.generation:
            return True
        return standing != before.standing and self._now() - before.at >= SELDOM_SECONDS

    async def _write(self, key: Key, standing: Standing) -> bool:
        """False where we are not allowed to."""
        kind, namespace, name = key
        found = self._objects()[key]
        now = self._now()
        before = self._written.get(key)
        since = _since(standing, before.since if before else found.since, now)
        where = f"namespaces/{namespace}/{PLURALS[kind]}" if namespace else PLURALS[kind]
        try:
            answer = await self._api.ask(
                "PATCH",
                f"/apis/netmatrix.io/v1alpha1/{where}/{name}/status",
                body={"status": status_of(standing, since, found.generation)},
                content_type="application/merge-patch+json",
            )
        except ApiAwayError:
            return True
        if answer.good:
            self._said = ""
        elif answer.status != HTTPStatus.NOT_FOUND and (because := reason_of(answer)) != self._said:
            self._said = because
            _log.warning("a status was not taken", object=f"{namespace}/{name}".strip("/"), because=because)
        if answer.good or answer.status in NEVER:
            self._written[key] = _Written(standing, found.generation, since, now)
        return answer.status != HTTPStatus.FORBIDDEN


def status_of(standing: Standing, since: Mapping[str, tuple[str, str]], generation: int) -> Mapping[str, Any]:
    """What stands under `status`."""
    return {
        "observedGeneration": generation,
        "conditions": [
            {
                "type": one.type,
                "status": one.status,
                "reason": one.reason,
                "message": one.message[:LONGEST_MESSAGE],
                "lastTransitionTime": since[one.type][1],
                "observedGeneration": generation,
            }
            for one in standing.conditions
        ],
        "counts": dict(standing.counts) or None,
        "examples": [
            {key: value[:LONGEST_REASON] for key, value in msgspec.to_builtins(one).items()}
            for one in standing.examples[:MAX_EXAMPLES]
        ]
        or None,
    }


def _since(standing: Standing, before: Mapping[str, tuple[str, str]], now: float) -> dict[str, tuple[str, str]]:
    """Since when each condition says what it says."""
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        one.type: before[one.type] if before.get(one.type, ("",))[0] == one.status else (one.status, time)
        for one in standing.conditions
    }

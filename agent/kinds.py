"""The probers of a process, each behind a guard: a fault in one kind must not end the others.

In: kinds and their probers. Out: what their calls return, or None where one failed; and which kinds cannot be sent from here,
which is asked again now and then.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import structlog

from agent.probes.prober import Context, Prober
from wire.path import Family, Kind

ASK_AGAIN_NS = 60_000_000_000
"""How often a kind that is not supported is asked whether it is now, and a fault of one is logged."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Kinds:
    """One prober of each kind."""

    def __init__(self, probers: Mapping[Kind, type[Prober]], context: Context, clock: Callable[[], int]) -> None:
        self.probers = {kind: prober(context) for kind, prober in probers.items()}
        self._clock = clock
        self._unsupported: dict[tuple[Kind, Family], tuple[bool, int]] = {}
        self._complained: dict[Kind | None, int] = {}

    def ask_anew(self) -> None:
        """Forget what is supported."""
        self._unsupported.clear()

    def unsupported(self) -> tuple[str, ...]:
        """Kinds, as `icmp/ipv6`, that were asked for and cannot be sent from here."""
        return tuple(sorted(f"{kind}/{family}" for (kind, family), (is_so, _) in self._unsupported.items() if is_so))

    def is_unsupported(self, kind: Kind, family: Family, now: int) -> bool:
        """Whether this kind cannot be sent over this family."""
        is_so, asked_ns = self._unsupported.get((kind, family), (False, -ASK_AGAIN_NS))
        if now - asked_ns >= ASK_AGAIN_NS:
            prober = self.probers.get(kind)
            reason = "no such kind here" if prober is None else self.guarded(kind, prober.unsupported, family)
            is_so = reason is not None
            self._unsupported[kind, family] = (is_so, now)
            if is_so:
                log.warning("kind is not supported", kind=kind, family=family, reason=reason)
        return is_so

    def guarded(self, kind: Kind, call: Callable[..., T], *arguments: object) -> T | None:
        """What a call of a prober of this kind returns; None where it fails."""
        try:
            return call(*arguments)
        except Exception as error:  # noqa: BLE001 - the probe runner: a fault in one kind must not end the others
            self.complain(kind, error)
            return None

    async def contained(self, work: Coroutine[Any, Any, None]) -> None:
        """A prober's own task, whose fault must not end the runner."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the probe runner: a fault in one kind must not end the others
            self.complain(None, error)

    def complain(self, kind: Kind | None, error: Exception) -> None:
        """Log a fault, unless one of this kind was logged not long ago."""
        now = self._clock()
        if now - self._complained.get(kind, -ASK_AGAIN_NS) >= ASK_AGAIN_NS:
            self._complained[kind] = now
            log.error("prober failed", kind=kind, exc_info=error)

    def close(self) -> None:
        """Close every prober, for good."""
        for kind, prober in self.probers.items():
            self.guarded(kind, prober.close)
        self.probers.clear()

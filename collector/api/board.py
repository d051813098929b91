"""What the agents are told now: the plan in force for each, as bytes, and a way to wait for another one.

Other plans are put in force for all at once or spread over a time, each vantage at its own phase of it, by hash: so 5,000
agents do not all come for theirs in one second, and the slots of a rotation begin at another moment for everybody.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable

from msgspec import Struct

from collector.plan.compose import Plans
from wire.codec import encode
from wire.plan import Plan

MAX_ANNOUNCED = 4
"""Plans that are on their way at once; beyond, the oldest are not waited for."""


class _Announced(Struct, frozen=True):
    plans: Plans
    at: float
    over_seconds: float

    def turn(self, vantage: str) -> float:
        """When this vantage is told."""
        return self.at + self.over_seconds * phase_of(vantage)


def phase_of(vantage: str) -> float:
    """The moment of a vantage within any span, from 0 to less than 1: by hash of its name."""
    return int.from_bytes(hashlib.blake2b(vantage.encode(), digest_size=4).digest()) / 2**32


class Board:
    """The plans in force. However many wait for other ones, they wait for one event.

    `handed` is told every plan that is handed out, before it is.
    """

    def __init__(
        self,
        plans: Plans,
        *,
        handed: Callable[[str, Plan], None] = lambda _vantage, _plan: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handed = handed
        self._now = now
        self._announced = [_Announced(plans, now(), 0.0)]
        self._changed = asyncio.Event()
        self._released = False

    @property
    def plans(self) -> Plans:
        """The newest ones, of which not all may have been told yet."""
        return self._announced[-1].plans

    def age_seconds(self) -> float:
        """How long ago they were put in force."""
        return self._now() - self._announced[-1].at

    def publish(self, plans: Plans, *, over_seconds: float = 0.0) -> None:
        """Put others in force, spread over some time, and wake all who wait."""
        changed, self._changed = self._changed, asyncio.Event()
        self._announced = [*self._announced[1 - MAX_ANNOUNCED :], _Announced(plans, self._now(), over_seconds)]
        changed.set()

    def release(self) -> None:
        """Wake all who wait although nothing changed, since we are about to stop."""
        self._released = True
        self._changed.set()

    def in_force(self, vantage: str) -> Plans:
        """The plans that this vantage is to follow now."""
        now = self._now()
        for place in reversed(range(len(self._announced))):
            announced = self._announced[place]
            if announced.turn(vantage) <= now:
                if announced.at + announced.over_seconds <= now:
                    del self._announced[:place]
                return announced.plans
            if place and vantage not in self._announced[place - 1].plans:  # it is new here, and has no plan to wait with
                return announced.plans
        return self._announced[0].plans

    def etag(self, vantage: str) -> str:
        """The name of the plan in force for a vantage."""
        return _name(self.in_force(vantage), vantage)

    def handout(self, vantage: str) -> tuple[bytes, str] | None:
        """The plan of a vantage as msgpack and its name, made now and not kept: each asks once. None for no such vantage."""
        plans = self.in_force(vantage)
        if vantage not in self.plans or vantage not in plans:
            return None
        plan = plans.plan(vantage)
        self._handed(vantage, plan)
        return encode(plan), _name(plans, vantage)

    async def other_than(self, vantage: str, etag: str, *, seconds: float) -> bool:
        """Wait until the plan in force is not that of `etag`; False where it still is after so many seconds."""
        until = self._now() + seconds
        while etag == self.etag(vantage) and not self._released:
            now = self._now()
            if now >= until:
                return False
            turns = [turn for one in self._announced if (turn := one.turn(vantage)) > now]
            changed = self._changed
            try:
                async with asyncio.timeout(min([until, *turns]) - now):
                    await changed.wait()
            except TimeoutError:
                continue
        return True


def _name(plans: Plans, vantage: str) -> str:
    """The same for as long as the plan of this vantage is: where one joins or leaves, few others come for another."""
    return f'"{plans.instance}-{plans.generation_of(vantage)}"'

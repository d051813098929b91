"""What the agents are told now: the plans in force, as bytes, and a way to wait for others."""

import asyncio

from collector.plan.compose import Plans
from wire.codec import encode


class Board:
    """The plans in force. However many wait for other ones, they wait for one event."""

    def __init__(self, plans: Plans) -> None:
        self._publish(plans)

    def publish(self, plans: Plans) -> None:
        """Put others in force and wake all who wait."""
        changed = self._changed
        self._publish(plans)
        changed.set()

    def release(self) -> None:
        """Wake all who wait although nothing changed, since we are about to stop."""
        self._changed.set()

    def _publish(self, plans: Plans) -> None:
        self.plans = plans
        self.etag = f'"{plans.instance}-{plans.generation}"'
        self._changed = asyncio.Event()

    def body(self, vantage: str) -> bytes | None:
        """The plan of a vantage as msgpack, made now and not kept: each asks once. None where there is no such vantage."""
        return encode(self.plans.plan(vantage)) if vantage in self.plans else None

    async def other_than(self, etag: str, *, seconds: float) -> bool:
        """Wait until the plans in force are not those of `etag`; False where they still are after so many seconds."""
        if etag != self.etag:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

"""Deadlines that pass when a test says so, and not when the machine was slow."""

import asyncio


def leap(seconds: float) -> None:
    """From now on the running loop's clock is so far ahead: whatever waits for no longer than that has waited long enough."""
    loop = asyncio.get_running_loop()
    before = loop.time
    setattr(loop, "time", lambda: before() + seconds)  # noqa: B010 - a method

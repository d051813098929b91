"""How a command of the lab ends: when its work is done, or when somebody interrupts it, with everything removed."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
INTERRUPTED = 143


def until_done_with(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGTERM, or the end of the terminal, ends it as Ctrl-C does. Raises SystemExit where it was ended."""

    async def interruptible() -> T:
        task = asyncio.current_task()
        if task is not None:
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        raise SystemExit(INTERRUPTED) from None


def until_done(work: Coroutine[Any, Any, int]) -> int:
    """The same for work that returns an exit status, which is 143 where it was ended."""
    try:
        return until_done_with(work)
    except SystemExit:
        return INTERRUPTED

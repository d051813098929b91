"""How a command of the lab ends: when its work is done, or when somebody interrupts it, with everything removed."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def until_done(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end; SIGTERM, or the end of the terminal, ends it as Ctrl-C does, with everything removed."""

    async def interruptible() -> int:
        task = asyncio.current_task()
        if task is not None:
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        return 143

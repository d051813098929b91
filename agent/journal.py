"""The log: one JSON object a line on standard output, and never a flood.

In: events. Out: lines, a bounded number a second, with the number of those left out. An outage makes every probe fail in the
same way at the same time: a few lines say so just as well as thousands, and the counts are in the metrics anyway.
"""

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, cast

# Where a developer's environment has it, structlog loads a package for colourful tracebacks: 5 MiB resident, for nothing here.
# None is how the import system is told that there is no such module.
sys.modules.setdefault("rich", cast("Any", None))

import structlog  # noqa: E402 - see above
from structlog.typing import EventDict, WrappedLogger  # noqa: E402 - see above

SECOND_NS = 1_000_000_000
SAME_SPAN_NS = 10 * SECOND_NS
SAME_LINES = 3
"""Lines of one event in SAME_SPAN_NS."""
ALL_LINES = 20
"""Lines of all events together in a second."""
MAX_EVENTS = 256


class Sieve:
    """Which lines are written. Pure."""

    def __init__(self) -> None:
        self.suppressed = 0
        """Lines left out since the start."""
        self._second = 0
        self._lines = 0
        self._events: OrderedDict[str, list[int]] = OrderedDict()

    def passes(self, event: str, now: int) -> int | None:
        """None where this line is left out, else the number of lines of this event left out before it."""
        if now // SECOND_NS != self._second:
            self._second, self._lines = now // SECOND_NS, 0
        began, lines, missed = self._events.pop(event, [now, 0, 0])
        if now - began >= SAME_SPAN_NS:
            began, lines = now, 0
        written = lines < SAME_LINES and self._lines < ALL_LINES
        self._events[event] = [began, lines + written, 0 if written else missed + 1]
        if len(self._events) > MAX_EVENTS:
            self._events.popitem(last=False)
        if not written:
            self.suppressed += 1
            return None
        self._lines += 1
        return missed


def configure(form: str, *, clock: Callable[[], int] = time.monotonic_ns) -> Sieve:
    """Send the log to standard output as `json` or `text`; returns the sieve, which counts what is left out."""
    sieve = Sieve()

    def sift(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        missed = sieve.passes(str(event.get("event")), clock())
        if missed is None:
            raise structlog.DropEvent
        if missed:
            event["left_out"] = missed
        return event

    last: structlog.typing.Processor
    last = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    structlog.configure(
        processors=[
            sift,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library, some of them once per request of a stranger.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    return sieve

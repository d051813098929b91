"""The log: one event a line on standard output, and never a flood.

Whoever holds a token can make us refuse a thousand reports a second. A few lines say so as well as thousands, and the counts
are in the metrics anyway.
"""

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

SPAN_NS = 10_000_000_000
LINES = 5
"""Most lines of one event and vantage in one span."""
EVENTS = 1_000
"""Most events and vantages that are told apart; the one that was silent longest is forgotten first."""


class Sieve:
    """Which lines are written. Pure."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def passes(self, event: str, now_ns: int) -> int | None:
        """None where a line is left out, else how many of this event were left out before it."""
        began_ns, lines, missed = self._seen.pop(event, (now_ns, 0, 0))
        if now_ns - began_ns >= SPAN_NS:
            began_ns, lines = now_ns, 0
        written = lines < LINES
        self._seen[event] = (began_ns, lines + written, 0 if written else missed + 1)
        if len(self._seen) > EVENTS:
            self._seen.popitem(last=False)
        return missed if written else None


def configure(form: Literal["json", "text"], *, clock: Callable[[], int] = time.monotonic_ns) -> None:
    """Send the log to standard output, as JSON for machines or as text for people."""
    sieve = Sieve()

    def sift(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        missed = sieve.passes(f"{event.get('event')} {event.get('vantage', '')}", clock())
        if missed is None:
            raise structlog.DropEvent
        if missed:
            event["left_out"] = missed
        return event

    last: Processor = structlog.processors.JSONRenderer()
    if form == "text":
        last = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
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
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stdout)

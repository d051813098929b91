"""The HTTP server's log: our own faults, and no line for what strangers send."""

import logging
from collections.abc import Callable

from aiohttp.http_exceptions import HttpProcessingError


class OwnFaults(logging.Filter):
    """Lets through what is our fault. Requests that are not HTTP are told to `refuse` as `not_http`: anybody can send many."""

    def __init__(self, refuse: Callable[[str], None]) -> None:
        super().__init__()
        self._refuse = refuse

    def filter(self, record: logging.LogRecord) -> bool:
        """False for records of requests that could not be parsed."""
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            self._refuse("not_http")
            return False
        return True


def server_log(name: str, refuse: Callable[[str], None]) -> logging.Logger:
    """The log of one HTTP server; `name` tells its port from others."""
    log = logging.getLogger(f"netmatrix.http.{name}")
    log.filters = [OwnFaults(refuse)]
    log.setLevel(logging.DEBUG)  # aiohttp says at that level what it deems harmless, and we count it
    return log

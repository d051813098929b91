"""Questions to a collector's operator port over HTTP, by the standard library alone so that the command starts at once."""

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from collector.cli.table import clean

MAX_ANSWER: Final = 256 * 1024 * 1024


class UnreachableError(Exception):
    """The collector does not answer, or not as one; one sentence."""


class RefusedError(Exception):
    """The collector did not take the question; its sentence."""


class Client:
    """Asks one collector, a connection per question."""

    def __init__(self, server: str, *, timeout: float) -> None:
        """`server` is a URL such as `http://127.0.0.1:8080`; raises ValueError where it is none. `timeout` is in seconds."""
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError("expected a URL such as http://127.0.0.1:8080")
        self.server = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._address = (parts.hostname, parts.port)
        self._path = parts.path.rstrip("/")
        self._timeout = timeout

    def ask(self, page: str, **query: str | None) -> dict[str, Any]:
        """What `/api/v1/PAGE` answers; parameters that are None are left out. Raises UnreachableError, RefusedError."""
        words = {name.rstrip("_"): value for name, value in query.items() if value is not None}
        connection = self._make(self._address[0], self._address[1], timeout=self._timeout)
        try:
            connection.request("GET", f"{self._path}/api/v1/{page}?{urlencode(words)}", headers={"Accept": "application/json"})
            response = connection.getresponse()
            body = response.read(MAX_ANSWER)
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"cannot reach {self.server}: {clean(_reason(error))}") from None
        finally:
            connection.close()
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or response.status not in {200, 400, 404, 421}:
            raise UnreachableError(f"{self.server} does not answer like a collector: HTTP status {response.status}")
        if response.status != 200:  # noqa: PLR2004 - OK
            raise RefusedError(clean(answer.get("error", f"HTTP status {response.status}")))
        return answer


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

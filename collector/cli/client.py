"""Questions to a collector's operator port over HTTP, by the standard library alone so that the command starts at once."""

import json
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from collector.cli.passage import UnixConnection, service_path
from collector.cli.table import clean

MAX_ANSWER: Final = 256 * 1024 * 1024


class UnreachableError(Exception):
    """The collector does not answer, or not as one; one sentence."""


class RefusedError(Exception):
    """The collector did not take the question; its sentence."""


class Client:
    """Asks one collector, a connection per question."""

    def __init__(self, name: str, connect: Callable[[], HTTPConnection], path: str) -> None:
        self.server = name
        """What it is called in a sentence."""
        self._connect = connect
        self._path = path

    @classmethod
    def at(cls, server: str, *, timeout: float) -> "Client":
        """At a URL such as `http://127.0.0.1:8080`; raises ValueError where it is none. `timeout` is in seconds."""
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError("expected a URL such as http://127.0.0.1:8080")
        make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        path = parts.path.rstrip("/")
        return cls(f"{parts.scheme}://{parts.netloc}{path}", partial(make, parts.hostname, parts.port, timeout=timeout), path)

    @classmethod
    def through(cls, socket: Path, *, namespace: str, timeout: float) -> "Client":
        """In a namespace of a cluster, through kubectl's proxy at a Unix socket."""
        name = f"the collector in namespace {clean(namespace)}"
        return cls(name, partial(UnixConnection, socket, timeout=timeout), service_path(namespace))

    def ask(self, page: str, **query: str | None) -> dict[str, Any]:
        """What `/api/v1/PAGE` answers; parameters that are None are left out. Raises UnreachableError, RefusedError."""
        words = {name.rstrip("_"): value for name, value in query.items() if value is not None}
        connection = self._connect()
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
        if isinstance(answer, dict) and answer.get("kind") == "Status":  # of the API server itself, meta/v1
            raise UnreachableError(f"the API server does not let us through to {self.server}: {clean(answer.get('message'))}")
        if not isinstance(answer, dict) or response.status not in {200, 400, 404, 421}:
            said = body[:300].decode(errors="replace").partition("\n")[0] if response.status >= 500 else ""  # noqa: PLR2004 - the proxies' own
            because = clean(said) or f"HTTP status {response.status}"
            raise UnreachableError(f"{self.server} does not answer like a collector: {because}")
        if response.status != 200:  # noqa: PLR2004 - OK
            raise RefusedError(clean(answer.get("error", f"HTTP status {response.status}")))
        return answer


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

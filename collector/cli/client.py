"""Questions to a collector's operator port over HTTP, by the standard library alone so that the command starts at once."""

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from collector.cli.passage import UnixConnection, service_path
from collector.cli.table import clean

MAX_ANSWER: Final = 256 * 1024 * 1024
GOOD: Final = frozenset({200, 202})
TOKEN_HEADER: Final = "X-Netmatrix-Token"  # noqa: S105 - the name of a header
"""As in collector.api.signing; the API server takes Authorization off what it proxies."""
LATER: Final = frozenset({401, 403, 408, 413, 429, 503})
"""Of actions: not with this token, or not now."""


class UnreachableError(Exception):
    """The collector does not answer, or not as one; one sentence."""


class RefusedError(Exception):
    """The collector did not take the question; its sentence."""


class Client:
    """Asks one collector, a connection per question."""

    def __init__(
        self, name: str, connect: Callable[[], HTTPConnection], path: str, *, token: Callable[[], str] | None = None
    ) -> None:
        self.token = token or given_token
        """Makes a token for an action, where one is wanted."""
        self.server = name
        """What it is called in a sentence."""
        self._connect = connect
        self._path = path
        self._reading: Mapping[str, str] = {}
        """What a collector is sent that lets nobody read without a token."""

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
    def through(cls, socket: Path, *, namespace: str, timeout: float, token: Callable[[], str] | None = None) -> "Client":
        """In a namespace of a cluster, through kubectl's proxy at a Unix socket; `token` makes one for actions."""
        name = f"the collector in namespace {clean(namespace)}"
        return cls(name, partial(UnixConnection, socket, timeout=timeout), service_path(namespace), token=token)

    def ask(self, page: str, **query: str | None) -> dict[str, Any]:
        """What `/api/v1/PAGE` answers; parameters that are None are left out. Raises UnreachableError, RefusedError."""
        words = {name.rstrip("_"): value for name, value in query.items() if value is not None}
        status, content = self._asked("GET", f"{page}?{urlencode(words)}")
        if status == HTTPStatus.UNAUTHORIZED and not self._reading:
            self._reading = {TOKEN_HEADER: self.token()}
            status, content = self._asked("GET", f"{page}?{urlencode(words)}")
        return self._read(status, content)

    def act(self, action: str, asked: Mapping[str, object], *, seconds: float) -> dict[str, Any]:
        """What comes of an action, waited for so long. The token is the first field, as it must be. Raises what `ask` does."""
        body = json.dumps({"token": self.token(), **{name: value for name, value in asked.items() if value is not None}})
        return self._read(*self._asked("POST", f"actions/{action}", body.encode(), seconds=seconds))

    def _asked(self, method: str, page: str, body: bytes | None = None, *, seconds: float | None = None) -> tuple[int, bytes]:
        connection = self._connect()
        try:
            connection.connect()
            if seconds is not None:
                connection.sock.settimeout(seconds)
            connection.request(
                method, f"{self._path}/api/v1/{page}", body, headers={"Accept": "application/json", **self._reading}
            )
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER)
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"cannot reach {self.server}: {clean(_reason(error))}") from None
        finally:
            connection.close()

    def _read(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and answer.get("kind") == "Status":  # of the API server itself, meta/v1
            raise UnreachableError(f"the API server does not let us through to {self.server}: {clean(answer.get('message'))}")
        if isinstance(answer, dict) and status in LATER and "error" in answer:
            raise UnreachableError(f"{self.server} does not do that: {clean(answer['error'])}")
        if not isinstance(answer, dict) or status not in {*GOOD, 400, 404, 421}:
            said = content[:300].decode(errors="replace").partition("\n")[0] if status >= 500 else ""  # noqa: PLR2004 - the proxies' own
            because = clean(said) or f"HTTP status {status}"
            raise UnreachableError(f"{self.server} does not answer like a collector: {because}")
        if status not in GOOD:
            raise RefusedError(clean(answer.get("error", f"HTTP status {status}")))
        return answer


def given_token() -> str:
    """The token in the environment; raises RefusedError where there is none."""
    token = os.environ.get("NETMATRIX_TOKEN", "")
    if not token:
        raise RefusedError("with --server, a key of the collector's operators.key_file is needed in NETMATRIX_TOKEN")
    return token


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

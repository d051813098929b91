"""A client of the Kubernetes API for tests: JSON in, JSON out, one connection that is opened again where it broke."""

import http.client
import json
import ssl
import threading
from typing import Any
from urllib.parse import urlencode, urlsplit

Object = dict[str, Any]
"""A Kubernetes object, or the list of some, as the API writes it."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class RefusedError(Exception):
    """The API server said no; `status` is the HTTP status and `reason` the word for it, such as `Forbidden`."""

    def __init__(self, status: int, answer: Object) -> None:
        super().__init__(f"{status}: {answer.get('message', answer)}")
        self.status = status
        self.reason = str(answer.get("reason", ""))


class Api:
    """Requests of one user, who is known by a client certificate in `context` or by `token`.

    Any method raises RefusedError where the server refuses, and OSError or http.client.HTTPException where it does not answer.
    """

    def __init__(self, url: str, context: ssl.SSLContext, *, token: str = "", patience: float = 30.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=patience, context=context)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._one_at_a_time = threading.Lock()

    def request(self, method: str, path: str, body: Object | None = None, *, kind: str = "application/json") -> Object:
        """One request; the answer's object, empty where the server says something else than one."""
        return _object(self._request(method, path, body, kind))

    def get(self, path: str, **query: str | int) -> Object:
        """An object, or a list."""
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def items(self, path: str, **query: str | int) -> list[Object]:
        """The objects of a list."""
        found = self.get(path, **query).get("items")
        return list(found or [])

    def watch(self, path: str, **query: str | int) -> list[Object]:
        """The events of a watch until the server ends it, which it does after `timeoutSeconds`."""
        text = self._request("GET", f"{path}?{urlencode({'watch': 'true', **query})}", None, "application/json")
        return [json.loads(line) for line in text.splitlines()]

    def create(self, path: str, body: Object) -> Object:
        """A new object."""
        return self.request("POST", path, body)

    def merge(self, path: str, body: Object) -> Object:
        """Change what `body` names."""
        return self.request("PATCH", path, body, kind=MERGE)

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply by the tests: an object of the name in `path` is as `body` says, whether it was there or not."""
        named = body | {"metadata": {"name": path.rpartition("/")[2], **body.get("metadata", {})}}
        return self.request("PATCH", f"{path}?fieldManager=tests&force=true", named, kind=APPLY)

    def delete(self, path: str, *, grace: int | None = None, uid: str = "") -> None:
        """Delete an object, and only that of this UID where one is given; one that is gone is no error."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self.request("DELETE", path, options)
        except RefusedError as refused:
            if refused.status != http.client.NOT_FOUND:
                raise

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    def _request(self, method: str, path: str, body: Object | None, kind: str) -> bytes:
        content = None if body is None else json.dumps(body).encode()
        with self._one_at_a_time:
            answer, text = self._exchange(method, path, content, kind)
        if answer.status >= http.client.BAD_REQUEST:
            raise RefusedError(answer.status, _object(text) or {"message": text.decode(errors="replace")})
        return text

    def _exchange(self, method: str, path: str, content: bytes | None, kind: str) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            return self._exchange_once(method, path, content, kind)
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLEOFError):
            # The server has closed a connection that stood idle; asked again on another one, it is away or it answers.
            self._connection.close()
            return self._exchange_once(method, path, content, kind)

    def _exchange_once(
        self, method: str, path: str, content: bytes | None, kind: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            self._connection.request(method, path, content, {**self._headers, "Content-Type": kind})
            answer = self._connection.getresponse()
            return answer, answer.read()
        except BaseException:
            self._connection.close()
            raise


def _object(text: bytes) -> Object:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

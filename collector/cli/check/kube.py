"""Questions to the API server through kubectl's proxy, with the rights of whoever runs the command. Nothing is ever changed.

In: paths. Out: objects as the API has them, or a sentence that says why there are none.
"""

import json
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from collector.cli.check.finding import Missing
from collector.cli.client import UnreachableError
from collector.cli.passage import UnixConnection
from collector.cli.table import clean

MAX_ANSWER: Final = 64 * 1024 * 1024
PAGE_OBJECTS: Final = 500
REVIEWS: Final = "/apis/authorization.k8s.io/v1"
PATHS: Final = (
    "^/version$",
    "^/api/v1/(nodes|namespaces|pods)$",
    "^/api/v1/namespaces/[a-z0-9-]+/(pods|events)$",
    "^/apis/apps/v1/namespaces/[a-z0-9-]+/(deployments|daemonsets)/netmatrix-[a-z]+$",
    "^/apis/networking.k8s.io/v1/namespaces/[a-z0-9-]+/networkpolicies$",
    f"^{REVIEWS}/(self)?subjectaccessreviews$",
)
"""All that is asked for; kubectl's proxy lets nothing else through."""

OK, CREATED, NOT_FOUND = 200, 201, 404
SERVER_ERROR: Final = 500

Object = dict[str, Any]


class Kube:
    """The API server behind a proxy's Unix socket; `timeout` is in seconds. Raises UnreachableError where it is away."""

    def __init__(self, socket: Path, *, timeout: float) -> None:
        self._socket = socket
        self._timeout = timeout

    def get(self, path: str, **query: str) -> Object | Missing:
        """One object."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def items(self, path: str, **query: str) -> list[Object] | Missing:
        """All objects of a list."""
        found: list[Object] = []
        token = ""
        while True:
            page = self.get(path, limit=str(PAGE_OBJECTS), **query, **({"continue": token} if token else {}))
            if isinstance(page, Missing):
                return page
            found += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue", "")
            if not token:
                return found

    def review(self, kind: str, spec: Object) -> bool | Missing:
        """Whether something is allowed; `kind` is SelfSubjectAccessReview or SubjectAccessReview."""
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        answer = self._ask("POST", f"{REVIEWS}/{kind.lower()}s", body)
        return answer if isinstance(answer, Missing) else bool((answer.get("status") or {}).get("allowed"))

    def _ask(self, method: str, path: str, body: Object | None = None) -> Object | Missing:
        connection = UnixConnection(self._socket, timeout=self._timeout)
        headers = {"Accept": "application/json", **({"Content-Type": "application/json"} if body else {})}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            text = response.read(MAX_ANSWER)
        except (OSError, HTTPException) as error:
            because = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise UnreachableError(f"cannot reach the API server: {clean(because)}") from None
        finally:
            connection.close()
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            if response.status >= SERVER_ERROR:  # of kubectl's proxy itself, which has no connection
                said = text[:300].decode(errors="replace").partition("\n")[0]
                raise UnreachableError(f"cannot reach the API server: {clean(said)}")
            return Missing(f"the API server answers {path} with status {response.status}")
        if response.status not in {OK, CREATED}:
            said = clean(answer.get("message") or f"status {response.status}")
            return Missing(f"the API server says: {said}", absent=response.status == NOT_FOUND)
        return answer

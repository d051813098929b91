"""Names in questions: a node, pod, service, zone or namespace that does not exist is said, and what exists is offered.

In: `from` and `to` of a question. Out: the question goes on, or 404 with names that look alike. A name that is known and has no
paths is another thing: that question has an empty answer.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from collector.api.guard import Handler
from collector.api.question import QuestionError
from collector.matrix.store import Matrix

ASKED_OF: Final = frozenset(f"/api/v1/{page}" for page in ("matrix", "pair", "worst", "picture", "history"))
"""Questions whose `from` and `to` are names in the matrix; those about verdicts know others as well, and say so themselves."""
OFFERED: Final = 12
"""Names that are offered at most."""
COMPARED: Final = 1000
"""Names that are compared with one that is not known: it takes a few hundredths of a second."""
SIMILAR: Final = 0.5


class UnknownNameError(QuestionError):
    """There is nothing of that name."""

    status = 404


class Names:
    """Every name that a question may have."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._of: object = None
        self._every: dict[str, None] = {}

    def middleware(self) -> Middleware:
        """Answers 404 where a question names what does not exist."""

        @web.middleware
        async def known(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path in ASKED_OF:
                for side in ("from", "to"):
                    if name := request.query.get(side):
                        self.expect(side, name)
            return await handler(request)

        return known

    def exists(self, name: str) -> bool:
        """Whether there is something of that name, with paths or without."""
        catalogue = self._matrix.catalogue
        if any(catalogue.named(name, side=one).any() for one in ("from", "to")):
            return True
        if self._of is not self._matrix.snapshot:
            self._of, self._every = self._matrix.snapshot, dict.fromkeys(_names(self._matrix))
        return name in self._every

    def expect(self, side: str, name: str) -> None:
        """Raises UnknownNameError with names that exist."""
        if not self.exists(name):
            raise unknown(side, name, list(self._every))


def unknown(side: str, name: str, every: Sequence[str]) -> UnknownNameError:
    """What to say of a name that is none of these."""
    offered = _alike(name, every)
    more = " and more" if len(every) > len(offered) else ""
    what = f"there is {', '.join(offered)}{more}" if offered else "nothing is known yet"
    return UnknownNameError(f"{side}: nothing is called that; {what}", offered)


def _alike(name: str, every: Sequence[str]) -> list[str]:
    """Names that look alike, else some of the same sort, else some."""
    kind, slash, _ = name.partition("/")
    same = [one for one in every if one.startswith(f"{kind}/") == bool(slash)] or every
    return get_close_matches(name, same[:COMPARED], OFFERED, SIMILAR) or list(same[:OFFERED])


def _names(matrix: Matrix) -> Iterator[str]:
    """Every name, those of nodes, zones and namespaces first."""
    snapshot = matrix.snapshot
    yield from (node.name for node in snapshot.nodes)
    yield from (f"zone/{node.zone}" for node in snapshot.nodes if node.zone)
    yield from (f"namespace/{one.namespace}" for one in snapshot.vantages)
    for place in matrix.catalogue.places():
        yield from place.names()

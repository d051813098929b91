"""What a verification says: lines of paths, in the tables that people draw by hand, and what is wrong with what is expected."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Table = Literal["pods", "services", "namespaces", "outside"]

TABLES: Final[dict[Table, str]] = {
    "pods": "Pod to pod, same namespace",
    "services": "Pod to service",
    "namespaces": "Pod to pod, across namespaces",
    "outside": "Nodes and hosts",
}
GOOD: Final = frozenset({"ok", "excluded"})
BAD: Final = frozenset({"broken", "leak", "target_down", "degraded"})
"""What holds or does not whoever expects it. Anything else is not known, which only does for what nobody declared."""


class Line(NamedTuple):
    """One path."""

    table: Table
    source: str
    target: str
    port: str
    """Such as `TCP 5432`."""
    expected: str
    actual: str
    verdict: str
    because: str
    name: str = ""
    """Namespace and name of the declaration; empty where it follows from policies."""

    @property
    def holds(self) -> bool | None:
        """Whether it does; None where nobody can say, and nobody declared that it should."""
        if self.verdict in GOOD:
            return True
        return False if self.verdict in BAD or self.name else None

    @property
    def words(self) -> str:
        """The path in a sentence."""
        return f"{self.source} to {self.target} {self.port}".rstrip()


class Fault(NamedTuple):
    """Something wrong with what is expected, or with a manifest."""

    name: str
    """Of a declaration, or of a file."""
    because: str


class Report(NamedTuple):
    """All of it."""

    lines: Sequence[Line]
    faults: Sequence[Fault]
    notes: Sequence[str] = ()
    """Good to know."""

    @property
    def holds(self) -> bool:
        """Whether everything does."""
        return not self.faults and all(line.holds is not False for line in self.lines)


def table_of(source: str, target: str, *, service: bool, outside: bool) -> Table:
    """The table that a path between two namespaces belongs to."""
    if outside:
        return "outside"
    if service:
        return "services"
    return "pods" if source == target else "namespaces"

"""A finding: one cause with what speaks for it, before it has been held long enough to be told.

Found by `cause` from losses, or made by whoever knows something that no statistics can know, such as an open path that a policy
forbids: all of them go through one hold.
"""

from typing import Literal, NamedTuple

from collector.verdict.candidates import Scope
from wire.path import Family, Kind, Layer

Effect = Literal[
    "unreachable", "loss", "latency", "leak", "broken", "nat", "mtu", "contradiction", "not_enforced", "unverifiable", "silent"
]
Severity = Literal["critical", "warning", "info"]

MOST_EVIDENCE = 20
"""Most paths that an incident names."""


class Evidence(NamedTuple):
    """What one path did."""

    source: str
    target: str
    layer: Layer
    kind: Kind
    family: Family
    sent: int
    lost: int


class Whole(NamedTuple):
    """Counts of the longest span."""

    lost: int
    sent: int
    usual: float
    span_ns: int


class Finding(NamedTuple):
    """One cause."""

    scope: Scope
    layer: Layer
    events: float = 0.0
    usual: float = 0.0
    """Events that the background would have brought."""
    lost: int = 0
    sent: int = 0
    witnesses: int = 0
    of_witnesses: int = 0
    score: float = 0.0
    """Log-likelihood ratio beyond what it takes to name it."""
    span_ns: int = 0
    fresh: bool = True
    """False where the latest span would have shown it and does not: it is over."""
    certain: bool = True
    """False where one more look may still change what it is, such as the direction of a node's loss."""
    total: bool = False
    """Nothing of its layer gets through, so that no receipt will ever tell a direction."""
    hinted: bool = True
    """False where nothing speaks for one direction or for both yet, while something may."""
    proven: bool = True
    """False where it may still be a burst, such as noisy pairs have: it waits, and is not told."""
    effect: Effect = "loss"
    severity: Severity = "warning"
    nodes: int = 0
    """Nodes that lose something by it, as sources or as targets."""
    paths: int = 0
    """Cells that lose something by it."""
    namespaces: int = 0
    src_namespace: str = ""
    dst_namespace: str = ""
    owner: str = ""
    expectation: str = ""
    """Namespace and name of the declared one, where one says so."""
    whole: "Whole | None" = None
    """What it did in the longest span, by which new losses are told from those that were seen before."""
    evidence: tuple[Evidence, ...] = ()
    sentence: str = ""
    """For an operator; made of the numbers where it is empty."""
    against: str = ""
    """What would have contradicted it."""

    @property
    def loss(self) -> float:
        """Share of the probes of its span that were lost."""
        return self.lost / max(self.sent, 1)

"""Cells of one span: the one value that flows through all stages of a verdict.

Whoever reads the matrix, or simulates one, makes them; everything else here takes them. Columns are arrays of one length, one
element a cell (vantage, target, layer, kind, family), in any order. Numbers in `source` and `target` are places in the two
tables of ends. Nothing here is ever changed in place: a stage that knows more replaces a column (`dataclasses.replace`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wire.path import Family, Kind, Layer

Ints = NDArray[np.int64]
Numbers = NDArray[np.integer[Any]]
Small = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LAYERS: Final = tuple(Layer)
KINDS: Final = tuple(Kind)
FAMILIES: Final = tuple(Family)
"""What a code in `layer`, `kind` and `family` means: its place in these."""
CHUNK: Final = 1 << 17
"""Cells that are looked at together where it makes no difference."""


class Expected(IntEnum):
    """What should hold of a cell."""

    ALLOW = 0
    DENY = 1
    UNSPECIFIED = 2
    UNKNOWN = 3


class Reason(IntEnum):
    """Why a cell is not judged; 0 where it is."""

    JUDGED = 0
    NOTHING_SENT = 1
    """No probe of the span was sent and judged."""
    STALE = 2
    """Its agent has not reported of late, or its last believable window is too old."""
    ILL = 3
    """The prober or the responder said that it was starved, stopped or throttled."""
    IDENTITY = 4
    """Nobody confirmed which pod answers."""
    SETTLING = 5
    """An end has been ready for less than the settling time."""
    LEAVING = 6
    """An end is terminating, cordoned or leaving."""
    NOT_READY = 7
    UNSAMPLED = 8
    """Not in the plan of this moment."""


class End(NamedTuple):
    """A vantage or a target; empty words where it has no such thing."""

    name: str
    """Of a vantage its name; of a target the name that paths have for it, such as `pod/shop/cart-0` or `service/shop/cart`."""
    node: str = ""
    zone: str = ""
    namespace: str = ""
    network: str = ""
    """Of the pod's networks, empty for the cluster's own."""
    uid: str = ""
    """Of the object, where it has one: what an incident's id is made of rather than a name that can be given again."""
    groups: tuple[str, ...] = ()
    """Labels of its node that nodes may have in common, as `key=value`, such as a node pool, a rack or a CNI version."""
    behind: tuple[str, ...] = ()
    """Of a service or a name server the nodes of its ready backends: while one is gone, connections that go there fail."""

    def is_of(self, component: str) -> bool:
        """Whether a component of a cause names it, or its node, its zone or a group of nodes."""
        return component in {self.name, self.node, self.zone, *self.groups} - {""}


class Codes(NamedTuple):
    """One property of all ends of a table."""

    words: tuple[str, ...]
    """Sorted, without the empty word."""
    codes: Ints
    """Of each end the place of its word, -1 for none."""


class Ends:
    """A table of ends. Make it once for as long as it stays the same: what is derived from it is kept."""

    def __init__(self, ends: Iterable[End]) -> None:
        self.all: tuple[End, ...] = tuple(ends)

    def __len__(self) -> int:
        """Number of ends."""
        return len(self.all)

    def __getitem__(self, number: int) -> End:
        """The end with this number."""
        return self.all[number]

    @cached_property
    def nodes(self) -> Codes:
        """Their nodes."""
        return coded([end.node for end in self.all])

    @cached_property
    def zones(self) -> Codes:
        """Their zones."""
        return coded([end.zone for end in self.all])

    @cached_property
    def namespaces(self) -> Codes:
        """Their namespaces."""
        return coded([end.namespace for end in self.all])


class Bursts(NamedTuple):
    """What bursts of some cells found, of which each counts as a few probes: its packets are milliseconds apart."""

    cell: Ints
    sent: Ints
    lost: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """See the module."""

    start_ns: int
    stop_ns: int
    """Of the span, by the collector's clock; the counts are of windows that arrived in it."""
    sources: Ends
    targets: Ends
    heard_ns: Ints
    """Of each source: when its last report arrived, by the same clock; -1 for one of which none is expected now (it left, it
    has not yet begun, or it leaves)."""
    source: Numbers
    target: Numbers
    layer: Small
    kind: Small
    family: Small
    sent: Numbers
    """Probes that left and were judged in the span."""
    lost: Numbers
    """Of those: failed by the network, or answered too late."""
    expected: Small
    """`Expected`."""
    reason: Small
    """`Reason`; whatever is not JUDGED counts neither for nor against anything."""
    forward: Ints | None = None
    """Of the lost ones: probes that are known not to have arrived there (stateful reflector); None where nobody knows any."""
    backward: Ints | None = None
    """Of the lost ones: probes of which the answer is known not to have come back."""
    bursts: Bursts | None = None
    """Of the span, besides `sent` and `lost`: asked for since something was lost, so that nobody learns what is usual."""

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.source)

    @property
    def span_ns(self) -> int:
        """Length of the span."""
        return self.stop_ns - self.start_ns

    @property
    def judged(self) -> Mask:
        """Which cells count: judged ones that should be open and of which something was sent; a closed path loses nothing."""
        return self.judged_in(slice(None))

    def judged_in(self, which: slice | Ints) -> Mask:
        """The same of some cells."""
        judged = (self.reason[which] == Reason.JUDGED) & (self.expected[which] == Expected.ALLOW)
        result: Mask = judged & (self.sent[which] > 0)
        return result


def chunks(cells: int) -> Iterator[slice]:
    """Some at a time, so that what is made of them on the way stays small and near the processor."""
    return (slice(start, min(start + CHUNK, cells)) for start in range(0, cells, CHUNK))


def coded(words: Sequence[str], known: Sequence[str] = ()) -> Codes:
    """The property as numbers; `known` are words that come first, so that two tables can have numbers in common."""
    names = list(known) or sorted({word for word in words if word})
    places = {word: place for place, word in enumerate(names)}
    return Codes(tuple(names), np.array([places.get(word, -1) for word in words], np.int64))

"""Names that are being resolved for probes which are due: at most so many at once, each by a task that its owner awaits.

In: planned paths with a host. Out: resolutions, in the order in which they ended. What an answer means for its path after a
stall of ours, or under a later plan, is for whoever takes it.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from agent.limits import Limits, permission
from wire.outcome import Outcome
from wire.path import Family, Kind
from wire.plan import PlannedPath

if TYPE_CHECKING:
    from asyncio import Task, TaskGroup

MAX_RESOLVING = 16
"""Names being resolved at once; a path beyond that is skipped."""

Resolve = Callable[[str, Family], Awaitable["tuple[Sequence[str], Outcome | None, int]"]]
"""Addresses of a name in one family, or the word for why there are none; and the nanoseconds that it took."""


class Resolution(Struct, frozen=True):
    """What became of a name: an address that may be sent to, or a word."""

    planned: PlannedPath
    started_ns: int
    address: str
    outcome: Outcome | None
    resolve_ns: int


class Names:
    """The resolutions of one runner. `complain` is told of a fault, `on_end` of every end."""

    def __init__(
        self,
        resolve: Resolve,
        limits: Limits,
        clock: Callable[[], int],
        *,
        complain: Callable[[Kind, Exception], None],
        on_end: Callable[[], None],
    ) -> None:
        self.resolve = resolve
        self.tasks: TaskGroup | None = None
        """Who owns the tasks; nothing is resolved without."""
        self.ended: deque[Resolution] = deque()
        self._limits = limits
        self._clock = clock
        self._complain = complain
        self._on_end = on_end
        self._running: set[Task[None]] = set()

    def __len__(self) -> int:
        """Resolutions under way, or not taken yet."""
        return len(self._running) + len(self.ended)

    def start(self, planned: PlannedPath) -> bool:
        """Begin to resolve the host of this path; False where there is no room for it."""
        if self.tasks is None or len(self._running) >= MAX_RESOLVING:
            return False
        task = self.tasks.create_task(self._resolve_one(planned))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    def cancel(self) -> None:
        """Give up all that is under way."""
        for task in self._running:
            task.cancel()

    async def _resolve_one(self, planned: PlannedPath) -> None:
        path, started_ns = planned.path, self._clock()
        try:
            addresses, outcome, resolve_ns = await self.resolve(path.target.host, path.family)
        except Exception as error:  # noqa: BLE001 - the probe runner: a fault in one kind must not end the others
            self._complain(path.kind, error)
            addresses, outcome, resolve_ns = (), Outcome.INTERNAL, 0
        address = next((address for address in addresses if permission(path, address, self._limits) is None), "")
        if not address:
            outcome = Outcome.FORBIDDEN if addresses else outcome or Outcome.DNS_ERROR
        self.ended.append(Resolution(planned, started_ns, address, outcome, resolve_ns))
        self._on_end()

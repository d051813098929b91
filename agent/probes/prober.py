"""What a probe kind is: it sends batches and collects what came back.

In: probes to final addresses, never names. Out: observations and notes. A prober knows nothing of schedules, retries, metrics
or other probers; it never decides that a probe is lost, since only the runner knows how long to wait; and it never blocks.
"""

from asyncio import Task
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct

from agent.track import Track
from wire.outcome import Outcome
from wire.path import Family, Path
from wire.plan import GroupKey
from wire.window import FactName, Measure, Timed

NO_MEASURES: Mapping[Measure, int] = MappingProxyType({})
NO_FACTS: Mapping[FactName, str] = MappingProxyType({})


class Launch(Struct, eq=False):
    """What probes have in common that left together: as a rule nothing needs to be known of a single one."""

    probes: Sequence["Probe"]
    timeout_ns: int
    deadline_ns: int
    interrupted_until: int | None = None
    """Until when we stood still while they were out."""


class Probe(Struct, eq=False, gc=False):
    """One probe, to be sent now."""

    number: int
    """Ascending and unique in the process."""
    path: Path
    address: str
    """Final IP address in text, already checked against the deny list."""
    resolve_ns: int = 0
    """What resolving the name took, where there was one."""
    track: Track | None = None
    """What the agent keeps of its path; a prober looks at nothing but its own `course` there."""
    launch: Launch | None = None
    """With whom it left, until it is judged; the runner's."""


class Observation(Struct, frozen=True, gc=False):
    """What became of one probe: a latency, or a word, and never both. It is counted by its latency where it has one."""

    probe: Probe
    latency_ns: int | None = None
    """Round trip, reflector dwell subtracted; for http the sum of its phases without resolving."""
    outcome: Outcome | None = None
    timed: Timed = Timed.NONE
    confirmed: bool = False
    """The answer proved the UID that the path's target should have."""
    measures: Mapping[Measure, int] = NO_MEASURES
    facts: Mapping[FactName, str] = NO_FACTS


class Note(Struct, frozen=True, gc=False):
    """Something learned about a path that is not the fate of one probe: a duplicate, a direction of loss, a late fact."""

    path: Path
    measures: Mapping[Measure, int] = NO_MEASURES
    facts: Mapping[FactName, str] = NO_FACTS


@dataclass(slots=True)
class Context:
    """What every prober of a process shares. The runner owns it and replaces `keys` with every plan."""

    uid: str = ""
    """UID of our own pod, which peers see in our requests."""
    keys: tuple[GroupKey, ...] = ()
    """Group keys of the plan; sign with the first, accept any."""
    addresses: frozenset[str] = frozenset()
    """Our own addresses as the collector knows them; seen from another one, we are behind NAT. Empty: not known."""
    permits: Callable[[str], bool] = field(default=lambda _: False)
    """Whether an address may be connected to; asked again at connect time by whoever opens a connection."""
    resolvers: frozenset[str] = frozenset()
    """Name servers of resolv.conf, which may be asked on port 53 wherever they are: NodeLocal DNSCache is on 169.254.20.10."""
    spend: Callable[[int], bool] = field(default=lambda _packets: True)
    """Take so many packets more out of the budget of this second, and say whether they may be sent."""
    spawn: Callable[[Coroutine[Any, Any, None]], Task[None]] | None = None
    """Starts a task that somebody owns and awaits, such as `TaskGroup.create_task`. None: what needs a task is unsupported."""


class Prober(Protocol):
    """One kind. Made once per process; opens its sockets when it first needs them."""

    def __init__(self, context: Context) -> None:
        """Keep the context; open nothing yet."""

    def unsupported(self, family: Family) -> str | None:
        """Why this kind cannot be sent over this family from here, in a few words; None where it can."""

    def send(self, probes: Sequence[Probe]) -> list[Observation]:
        """Send a batch; return those that failed at once. All others come from `collect`, unless forgotten first."""

    def collect(self) -> list[Observation | Note]:
        """Take in what has arrived since the last call, without waiting."""

    def forget(self, probe: Probe) -> None:
        """The runner has given this probe up: free what it holds. An answer after this is ignored."""

    def close(self) -> None:
        """Release every socket and task. Nothing is collected after this."""

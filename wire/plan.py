"""A plan: what the collector asks of one agent.

An agent treats it as untrusted input: whatever it says, the limits in the agent's own process stay in force.
"""

from typing import Annotated

from msgspec import Meta, Struct

from wire import WIRE_VERSION
from wire.path import Path
from wire.text import Name, OptionalName

MAX_PATHS = 20_000
"""Most paths in one plan: ten kinds and layers to two thousand peers."""

Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
Nanoseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class GroupKey(Struct, frozen=True):
    """A 128-bit key shared by the agents of one cluster for one epoch; proves to a peer that a probe is a colleague's."""

    epoch: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    key: Annotated[bytes, Meta(min_length=16, max_length=16)]


class PlannedPath(Struct, frozen=True):
    """A path with its schedule. A probe unanswered after `timeout_ms` is lost, even if an answer comes later."""

    path: Path
    interval_ms: Milliseconds
    timeout_ms: Annotated[int, Meta(ge=1, le=60_000)]


class Identity(Struct, frozen=True, omit_defaults=True):
    """Who the agent is, as the collector knows it."""

    vantage: Name
    node: Name
    zone: OptionalName = ""
    namespace: OptionalName = ""
    pod: OptionalName = ""
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=45)], ...], Meta(max_length=16)] = ()
    """Addresses that the peers should see it come from; another one is NAT."""


class Plan(Struct, frozen=True, omit_defaults=True):
    """The whole plan of one agent. Of two plans the one with the greater (instance, generation) is newer."""

    instance: Nanoseconds
    """When the collector started, in nanoseconds since 1970 by its own clock: names the process, and orders it."""
    generation: Annotated[int, Meta(ge=0, le=2**53)]
    identity: Identity
    keys: Annotated[tuple[GroupKey, ...], Meta(max_length=2)]
    """The key to sign with, and a second to accept. Whoever has the plan before or after this one has the first of them too."""
    report_interval_ms: Annotated[int, Meta(ge=500, le=600_000)]
    paths: Annotated[tuple[PlannedPath, ...], Meta(max_length=MAX_PATHS)]
    stretched: Annotated[float, Meta(ge=1.0, le=1e6)] = 1.0
    """Factor by which the planner lengthened the intervals to stay within the agents' budgets."""
    version: Annotated[int, Meta(ge=1, le=2**31)] = WIRE_VERSION
    unreadable: Annotated[int, Meta(ge=0, le=MAX_PATHS)] = 0
    """Paths left out by whoever read the plan, since it does not understand them: of a later kind, say."""

    def __post_init__(self) -> None:
        """Raise ValueError where a path is named twice or is another vantage's."""
        if len({planned.path.id for planned in self.paths}) != len(self.paths):
            msg = "the plan names a path twice"
            raise ValueError(msg)
        for planned in self.paths:
            if planned.path.vantage != self.identity.vantage:
                msg = f"the plan of {self.identity.vantage} has a path of {planned.path.vantage}"
                raise ValueError(msg)

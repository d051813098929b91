"""A scenario: a cluster, what happens to it and when, and what must then be seen. One YAML file each.

In comes the file's text, out comes a valid value or one sentence that names the file, the place in it and what is allowed.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field, structs

from collector.duration import Duration
from collector.settings import PlanSettings
from lab.expectation import SECOND
from lab.expected import Expected
from lab.faults import CpuHogs, Fault, check
from lab.outcomes import Happening, span
from lab.policies import Document
from lab.policy_change import PolicyChange, check_policies
from lab.reading import Refused, convert, values
from lab.shape import Fabric, Shape
from lab.topology import Topology

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
LONGEST = Duration(3600 * SECOND)
PLAN = {
    "interval": "1s",
    "timeout": "500ms",
    "report": "1s",
    "kinds": {"tcp": 4, "http": 8},
    "dns_interval": "3s",
    "mtu_interval": "15s",
}
"""What the lab's plan says unless a scenario says otherwise: 79 packets a second from each of six nodes, of the 80 allowed.
A lab is ready when every path has been measured, so the rarest ones must not take minutes."""


class NotApplicable(Exception):  # noqa: N818 - it is no error
    """A scenario says nothing under the given circumstances; the text says why."""


class Event(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that happens: a fault begins or ends, or policies change."""

    at: Duration
    fault: Fault | None = None
    clear: Literal["all"] | Fault | None = None
    """`all`, or a fault in the words that it began with."""
    policy: PolicyChange | None = None

    def __post_init__(self) -> None:
        """Raise ValueError unless there is exactly one of the three."""
        if [self.fault, self.clear, self.policy].count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("expected one of fault, clear and policy")


class Only(Struct, frozen=True, forbid_unknown_fields=True):
    """The one fabric that a scenario makes sense on."""

    fabric: Fabric
    because: Annotated[str, Meta(min_length=1, max_length=200)]
    """Why it says nothing on another one."""


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario. Times count from when the cluster is up and every path has been measured."""

    name: str
    expect: Expected
    cluster: Shape = field(default_factory=Shape)
    plan: PlanSettings = field(default_factory=PlanSettings)
    timeline: tuple[Event, ...] = ()
    policies: tuple[Document, ...] = ()
    """Kubernetes documents that are in force from the start."""
    expectations: tuple[Document, ...] = ()
    """Documents that declare what shall be reachable, for the collector's inventory."""
    only: Only | None = None
    """Where it makes sense; everywhere unless given."""
    survives: Annotated[tuple[Annotated[int, Meta(ge=1, le=99)], ...], Meta(min_length=1)] | None = None
    """Numbers of the failures and attacks whose survival it proves."""
    duration: Duration | None = None
    """How long it runs; long enough for the last interval to be reported unless given."""

    def __post_init__(self) -> None:
        """Raise ValueError where times are out of order, or a fault hits what the cluster does not have."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name {self.name[:64]!r} is not 1 to 64 of a-z, 0-9 and dashes, with a letter or digit at its ends"
            )
        if self.only and self.cluster.fabric is not self.only.fabric:
            raise ValueError(f"cluster.fabric: is {self.cluster.fabric}, but only.fabric says {self.only.fabric}")
        if self.survives and len(set(self.survives)) < len(self.survives):
            raise ValueError("survives names a case twice")
        if not self.cluster.external and any(expected.at == "external" for expected in self.expect.packets):
            raise ValueError("expect.packets: there is no host outside")
        _check_timeline(self.timeline, Topology.of(self.cluster, "check"))
        check_policies(self.policies, [(f"timeline[{n}]", event.policy) for n, event in enumerate(self.timeline)])
        for kind, intervals in self.expect.intervals.items():
            for place, (_, end) in enumerate(intervals):
                if end > self.length:
                    raise ValueError(f"expect.{kind}[{place}].between: ends at {end}, after the scenario, {self.length}")
        self._check_said()
        if self.length > LONGEST:
            raise ValueError(f"it lasts {self.length}, allowed are {LONGEST}")

    def _check_said(self) -> None:
        for kind, expectations in self.expect.timed.items():
            for place, expected in enumerate(expectations):
                try:
                    span(expected, self.happenings)
                except ValueError as error:
                    raise ValueError(f"expect.{kind}[{place}]: {error}") from None
        if self.expect.alerts and self.cluster.alerting != "prometheus":
            raise ValueError("expect.alerts: needs cluster.alerting: prometheus")
        if self.expect.notifications is not None and self.cluster.alerting == "none":
            raise ValueError("expect.notifications: needs cluster.alerting: webhook or prometheus")

    @property
    def happenings(self) -> tuple[Happening, ...]:
        """The timeline, as far as what is said counts from it."""
        return tuple(Happening(event.at, event.clear is not None) for event in self.timeline)

    @property
    def length(self) -> Duration:
        """How long it runs."""
        if self.duration is not None:
            return self.duration
        ends = [end for intervals in self.expect.intervals.values() for _, end in intervals]
        ends += [Duration(span(one, self.happenings).end) for many in self.expect.timed.values() for one in many]
        settle = 3 * self.plan.report + self.plan.timeout
        return Duration(max([*ends, *(event.at for event in self.timeline)]) + settle)

    @property
    def starves(self) -> bool:
        """Whether it takes the processors from everything else on the machine, other scenarios included."""
        return any(isinstance(event.fault, CpuHogs) for event in self.timeline)

    def on(self, fabric: Fabric) -> "Scenario":
        """The same on a fabric; raises NotApplicable where it makes no sense there."""
        if self.only and self.only.fabric is not fabric:
            raise NotApplicable(self.only.because)
        return structs.replace(self, cluster=replace(self.cluster, fabric=fabric))

    @property
    def plan_words(self) -> dict[str, object]:
        """The plan as the collector's configuration file has it, where it is not the collector's own default."""
        usual = PlanSettings()
        return {
            name: str(value) if isinstance(value, Duration) else msgspec.to_builtins(value)
            for name in self.plan.__struct_fields__
            for value in [getattr(self.plan, name)]
            if value != getattr(usual, name)
        }


def _check_timeline(timeline: tuple[Event, ...], topology: Topology) -> None:
    times = [event.at for event in timeline]
    if times != sorted(times):
        raise ValueError("timeline: events must stand in the order of their times")
    for place, event in enumerate(timeline):
        for key in ("fault", "clear"):
            _check_fault(getattr(event, key), topology, f"timeline[{place}].{key}")
    for place, event in enumerate(timeline):
        if isinstance(event.clear, Struct) and event.clear not in [earlier.fault for earlier in timeline[:place]]:
            raise ValueError(f"timeline[{place}].clear: no such fault has begun before")


def _check_fault(fault: Fault | Literal["all"] | None, topology: Topology, place: str) -> None:
    if fault is not None and fault != "all":
        try:
            check(fault, topology)
        except ValueError as error:
            raise ValueError(f"{place}: {str(error).removeprefix('fault: ')}") from None


def parse(text: bytes, name: str) -> Scenario:
    """The scenario in a YAML text; `name` is the file's. Raises Refused."""
    content = values(text, name)
    if isinstance(content, dict) and isinstance(content.get("plan", {}), dict):
        content["plan"] = {**PLAN, **content.get("plan", {})}
    return convert(content, Scenario, name)


def load(path: Path) -> Scenario:
    """The scenario in a file; raises Refused."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None
    return parse(text, str(path))

"""All that a scenario expects, by the list that it stands in."""

from msgspec import Struct

from lab.expectation import AgentsExpectation, CellsExpectation, Interval, PacketsExpectation
from lab.outcomes import AlertExpectation, Count, IncidentExpectation, Timed, VerdictExpectation


class Expected(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that must be seen, and all that must be said."""

    cells: tuple[CellsExpectation, ...] = ()
    agents: tuple[AgentsExpectation, ...] = ()
    packets: tuple[PacketsExpectation, ...] = ()
    incidents: tuple[IncidentExpectation, ...] = ()
    verdicts: tuple[VerdictExpectation, ...] = ()
    alerts: tuple[AlertExpectation, ...] = ()
    """What the real Alertmanager has."""
    false_incidents: Count | None = None
    """Most incidents that fire and that nobody expects."""
    notifications: Count | None = None
    """How many incidents the receiver is told of, each once."""

    def __post_init__(self) -> None:
        """Raise ValueError where nothing is expected."""
        if all(getattr(self, name) in ((), None) for name in self.__struct_fields__):
            raise ValueError("nothing is expected")

    @property
    def intervals(self) -> dict[str, list[Interval]]:
        """Of every expectation of an interval, by the list that it stands in."""
        return {
            "cells": [expected.between for expected in self.cells],
            "agents": [expected.between for expected in self.agents],
            "packets": [expected.between for expected in self.packets],
        }

    @property
    def timed(self) -> dict[str, tuple[Timed, ...]]:
        """Those that say how soon, by the list that they stand in."""
        return {"incidents": self.incidents, "verdicts": self.verdicts, "alerts": self.alerts}

    @property
    def judges_incidents(self) -> bool:
        """Whether it matters what the collector says of incidents."""
        return bool(self.incidents) or self.false_incidents is not None

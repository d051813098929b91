"""Sessions: which process of each agent we listen to, how far we have taken its reports, and how long ago.

Pure: values and `now` come in. A report is first judged and, once its windows are in the matrix, recorded. Freshness is by
arrival on our own monotonic clock; the agent's clock is never looked at.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from collector.admission import Refusal
from collector.discovery.snapshot import Snapshot
from wire.report import Health, Report

RETIRED_BOOTS = 16
"""How many replaced processes of one vantage are remembered."""

LEAVING_NS = 300 * 1_000_000_000
"""An agent that said farewell and is neither back nor gone from discovery after this long is silent like any other."""


class AgentWord(StrEnum):
    """What is known of an agent."""

    NEVER = "never"
    """No report since the collector started."""
    REPORTING = "reporting"
    SILENT = "silent"
    """No report for longer than `silent_after`: nothing of its row is known."""
    LEAVING = "leaving"
    """Its last report said that it was about to stop, and that is not longer ago than a restart or a drain takes."""


class AgentState(Struct, frozen=True):
    """One agent, as `/api/v1/agents` shows it."""

    vantage: str
    node: str
    zone: str
    namespace: str
    state: AgentWord
    age_seconds: float | None
    """Since its last report arrived."""
    boot: str
    """Name of its process in hexadecimal; empty for none."""
    sequence: int
    gaps: int
    """Reports of this process that never came: what they held is unknown."""
    health: Health | None
    plan_generation: int | None


class Heard(NamedTuple):
    """When an agent was heard last, and what follows from that."""

    vantage: str
    node: str
    state: AgentWord
    arrived_ns: int | None


class Judgement(Struct, frozen=True):
    """What to do with a report: nothing where there is a refusal, else apply it."""

    refusal: Refusal | None
    sequence: int
    """Highest sequence of this boot that was taken, this report not included."""
    counted: bool
    """Whether it may add to exported counters: no collector process acknowledged it before this one met the agent."""


@dataclass(slots=True)
class _Boot:
    """One process of an agent."""

    name: bytes
    acknowledged: int
    """What other collector processes had acknowledged when this one first heard of it."""
    sequence: int = 0
    gaps: int = 0


@dataclass(slots=True)
class _Session:
    boot: _Boot | None = None
    retired: deque[bytes] = field(default_factory=lambda: deque(maxlen=RETIRED_BOOTS))
    arrived_ns: int | None = None
    health: Health | None = None
    generation: int | None = None
    leaving: bool = False


class Sessions:
    """All agents of the inventory. Bounded by it: a vantage that leaves takes its session along."""

    def __init__(self, *, instance: int, silent_after_ns: int) -> None:
        self._instance = instance
        self._silent_after_ns = silent_after_ns
        self._sessions: dict[str, _Session] = {}
        self._places: dict[str, tuple[str, str, str]] = {}

    def replan(self, snapshot: Snapshot) -> None:
        """Keep the sessions of the vantages that exist, and start those of others."""
        zones = {node.name: node.zone for node in snapshot.nodes}
        self._sessions = {vantage.name: self._sessions.get(vantage.name, _Session()) for vantage in snapshot.vantages}
        self._places = {vantage.name: (vantage.node, zones[vantage.node], vantage.namespace) for vantage in snapshot.vantages}

    def judge(self, report: Report) -> Judgement:
        """What to do with a report of an agent that proved to be `report.vantage`; KeyError where that is not known."""
        session = self._sessions[report.vantage]
        boot = session.boot if session.boot and session.boot.name == report.boot else None
        taken = boot.sequence if boot else 0
        refusal = None
        if report.boot in session.retired:
            refusal = Refusal.RETIRED_BOOT
        elif report.instance != self._instance:
            refusal = Refusal.OTHER_INSTANCE
        elif report.sequence <= taken:
            refusal = Refusal.REPEATED
        acknowledged = boot.acknowledged if boot else report.acknowledged
        return Judgement(refusal=refusal, sequence=taken, counted=report.sequence > acknowledged)

    def record(self, report: Report, *, now_ns: int) -> int:
        """Remember a report that was judged and applied; the number of reports before it that never came."""
        session = self._sessions[report.vantage]
        if session.boot is None or session.boot.name != report.boot:
            if session.boot is not None:
                session.retired.append(session.boot.name)
            session.boot = _Boot(report.boot, report.acknowledged)
        elif not session.boot.sequence < report.sequence:
            raise ValueError(f"report {report.sequence} was not judged")
        boot = session.boot
        # An agent numbers what it sends, so spans that it merged while we were away have one number together.
        gap = report.sequence - boot.sequence - 1 if boot.sequence else 0
        boot.gaps += gap
        boot.sequence = report.sequence
        session.arrived_ns = now_ns
        session.health = report.health
        session.generation = report.generation
        session.leaving = report.leaving
        return gap

    def agents(self, now_ns: int) -> list[AgentState]:
        """Every agent of the inventory, in the order of their names."""
        return [self._state(name, session, now_ns) for name, session in sorted(self._sessions.items())]

    def heard(self, now_ns: int) -> list[Heard]:
        """Of every agent when it was heard last: a fraction of what it takes to tell all that is known of them."""
        return [
            Heard(name, self._places[name][0], self._word(session, now_ns), session.arrived_ns)
            for name, session in self._sessions.items()
        ]

    def _word(self, session: _Session, now_ns: int) -> AgentWord:
        if session.arrived_ns is None:
            return AgentWord.NEVER
        age_ns = now_ns - session.arrived_ns
        if session.leaving and age_ns <= LEAVING_NS:
            return AgentWord.LEAVING
        return AgentWord.SILENT if age_ns > self._silent_after_ns else AgentWord.REPORTING

    def _state(self, name: str, session: _Session, now_ns: int) -> AgentState:
        node, zone, namespace = self._places[name]
        boot = session.boot
        age_ns = None if session.arrived_ns is None else now_ns - session.arrived_ns
        return AgentState(
            vantage=name,
            node=node,
            zone=zone,
            namespace=namespace,
            state=self._word(session, now_ns),
            age_seconds=None if age_ns is None else age_ns / 1e9,
            boot=boot.name.hex() if boot else "",
            sequence=boot.sequence if boot else 0,
            gaps=boot.gaps if boot else 0,
            health=session.health,
            plan_generation=session.generation,
        )

"""A runner on virtual time, with probers that do as they are told."""

from collections.abc import Sequence

from agent.limits import Limits
from agent.probes.prober import Context, Note, Observation, Probe, Prober
from agent.runner import Runner
from agent.schedule import TICK_NS
from agent.windows import OpenSpan
from tests.agent.plans import SECOND_NS, answer, failure, planned
from wire.outcome import Outcome
from wire.path import Family, Kind
from wire.plan import PlannedPath
from wire.report import unpack
from wire.window import Timed, Window, merge


class FakeProber:
    """Answers what its class attributes say."""

    answers: bool = True
    latency_ns: int = 1_000_000
    timed: Timed = Timed.KERNEL
    at_once: Outcome | None = None
    reason: str | None = None
    fault: Exception | None = None

    def __init__(self, context: Context) -> None:
        self.context = context
        self.sent: list[Probe] = []
        self.arrived: list[Observation | Note] = []
        self.forgotten: list[Probe] = []
        self.closed = 0

    def unsupported(self, _family: Family) -> str | None:
        return self.reason

    def send(self, probes: Sequence[Probe]) -> list[Observation]:
        if self.fault is not None:
            raise self.fault
        self.sent += probes
        if self.at_once is not None:
            return [failure(one, self.at_once) for one in probes]
        if self.answers:
            self.arrived += [answer(one, self.latency_ns, timed=self.timed) for one in probes]
        return []

    def collect(self) -> list[Observation | Note]:
        arrived, self.arrived = self.arrived, []
        return arrived

    def forget(self, probe: Probe) -> None:
        self.forgotten.append(probe)

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A runner, its clock, and what it found."""

    def __init__(
        self, *planned_paths: PlannedPath, limits: Limits | None = None, slept: list[int] | None = None, **prober: object
    ) -> None:
        self.now = 0
        self.prober: FakeProber | None = None
        self.hurried = 0
        self.answered = 0
        self.span = OpenSpan(0)
        self.slept = slept or [0]
        made = type("Made", (FakeProber,), prober)
        probers: dict[Kind, type[Prober]] = {Kind.ICMP: made, Kind.TCP: made}
        self.runner = Runner(
            probers,
            Context(),
            limits or Limits(),
            self.span,
            self.resolve,
            on_first_loss=self.hurry,
            on_answer=self.answer,
            clock=lambda: self.now,
            slept=lambda: self.slept[0],
        )
        self.planned = planned_paths or (planned(),)
        self.runner.replan(self.planned, 0)

    async def resolve(self, host: str, _: Family) -> tuple[Sequence[str], Outcome | None, int]:
        if host == "gone.test":
            return [], Outcome.DNS_NXDOMAIN, 7
        return {"good.test": ["10.1.2.3"], "evil.test": ["169.254.169.254"]}[host], None, 7

    def hurry(self) -> None:
        self.hurried += 1

    def answer(self) -> None:
        self.answered += 1

    @property
    def fake(self) -> FakeProber:
        prober = self.runner._probers[Kind.ICMP]
        assert isinstance(prober, FakeProber)
        return prober

    def run(self, seconds: float, step_ns: int = TICK_NS) -> None:
        end = self.now + round(seconds * SECOND_NS)
        while self.now < end:
            self.runner.tick(self.now)
            self.now += step_ns

    def until_in_flight(self) -> None:
        while not self.runner.flights:
            self.runner.tick(self.now)
            self.now += TICK_NS

    def total(self) -> Window:
        return merge(self.windows())

    def windows(self) -> list[Window]:
        return unpack(self.span.cut(self.now, report_ns=SECOND_NS, ill=False))

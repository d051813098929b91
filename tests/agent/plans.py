"""Plans, paths and observations for the tests of the agent."""

from agent.probes.prober import Observation, Probe
from agent.track import Track
from wire.outcome import Outcome
from wire.path import Ask, Family, Icmp, Layer, Path, Target
from wire.plan import GroupKey, Identity, Plan, PlannedPath
from wire.window import Timed

SECOND_NS = 1_000_000_000


def path(
    name: str = "pod/shop/cart-0",
    *,
    address: str = "10.30.1.2",
    host: str = "",
    ask: Ask | None = None,
    peer: str = "",
    uid: str = "",
    vantage: str = "n1",
) -> Path:
    target = Target(name=name, peer=peer or name, address="" if host else address, host=host, uid=uid)
    family = Family.IPV4 if host else Family.of(address)
    return Path(vantage=vantage, target=target, layer=Layer.POD, family=family, ask=ask or Icmp())


def planned(one: Path | None = None, *, interval_ms: int = 1000, timeout_ms: int = 500) -> PlannedPath:
    return PlannedPath(one or path(), interval_ms, timeout_ms)


def paths(count: int, *, interval_ms: int = 1000, timeout_ms: int = 500, vantage: str = "n1") -> list[PlannedPath]:
    return [planned(path(f"node/n{i}", vantage=vantage), interval_ms=interval_ms, timeout_ms=timeout_ms) for i in range(count)]


def plan(
    *planned_paths: PlannedPath, instance: int = 1, generation: int = 1, report_ms: int = 1000, vantage: str = "n1"
) -> Plan:
    return Plan(
        instance=instance,
        generation=generation,
        identity=Identity(vantage=vantage, node="n1"),
        keys=(GroupKey(1, bytes(16)),),
        report_interval_ms=report_ms,
        paths=tuple(planned_paths),
    )


def track(one: Path | None = None) -> Track:
    return Track(planned(one))


def probe(one: Path | Track | None = None, number: int = 1) -> Probe:
    known = one if isinstance(one, Track) else track(one)
    return Probe(number, known.path, "10.30.1.2", track=known)


def answer(
    probe_sent: Probe, latency_ns: int = 1_000_000, *, timed: Timed = Timed.KERNEL, confirmed: bool = False
) -> Observation:
    return Observation(probe_sent, latency_ns=latency_ns, timed=timed, confirmed=confirmed)


def failure(probe_sent: Probe, outcome: Outcome) -> Observation:
    return Observation(probe_sent, outcome=outcome)

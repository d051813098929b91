"""Plans: what each agent is asked to do. A function of its arguments and of nothing else.

In come a snapshot and the configuration, out come the plans of all agents, with what was left out and why. The same
arguments give the same plans on every machine, down to the byte.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, structs

from collector.discovery.snapshot import Snapshot
from collector.plan.budget import Load, agent_loads, packets_per_second, stretched, target_loads
from collector.plan.mesh import peers_of
from collector.plan.targets import Targets
from collector.settings import PlanSettings
from wire.plan import MAX_PATHS, GroupKey, Identity, Plan, PlannedPath

MAX_PEERS = 256
"""Distinct peers a minute that an agent probes at most, unless its environment says otherwise."""
MAX_PAIRS = 250_000
"""Most ordered pairs of vantages in a full mesh, some 500 vantages: beyond, plans no longer fit in memory."""


class PlanError(ValueError):
    """A snapshot for which no plan can be made; one sentence."""


class Plans(Struct, frozen=True):
    """What all agents are asked to do. The plan of one is made when it is asked for, and always the same."""

    instance: int
    generation: int
    keys: tuple[GroupKey, ...]
    report_interval_ms: int
    identities: dict[str, Identity]
    """Of every vantage, in the order of their names."""
    paths_of: dict[str, tuple[PlannedPath, ...]]
    stretched: float = 1.0
    """Factor by which all intervals were lengthened, to stay within the agents' budgets."""
    heaviest: Load | None = None
    """The agent that would use the greatest share of its budget without that factor."""
    notes: tuple[str, ...] = ()
    """What was left out or changed, and why: one sentence each."""

    @property
    def vantages(self) -> tuple[str, ...]:
        """Names of all who have a plan, sorted."""
        return tuple(self.identities)

    @property
    def paths(self) -> int:
        """Number of paths in all plans together."""
        return sum(map(len, self.paths_of.values()))

    def __len__(self) -> int:
        """Number of plans."""
        return len(self.identities)

    def __contains__(self, vantage: object) -> bool:
        """Whether there is a plan for the vantage of this name."""
        return vantage in self.identities

    def plan(self, vantage: str) -> Plan:
        """The plan of one vantage, made now; raises KeyError."""
        return Plan(
            instance=self.instance,
            generation=self.generation,
            identity=self.identities[vantage],
            keys=self.keys,
            report_interval_ms=self.report_interval_ms,
            paths=self.paths_of[vantage],
            stretched=self.stretched,
        )

    def paths_in(self, vantage: str) -> int:
        """Number of paths of one vantage, known without making its plan; raises KeyError."""
        return len(self.paths_of[vantage])

    def packets_per_second(self, vantage: str) -> float:
        """What one vantage sends, known without making its plan; raises KeyError."""
        return packets_per_second(self.paths_of[vantage])


def compose(
    snapshot: Snapshot,
    settings: PlanSettings,
    *,
    instance: int,
    generation: int,
    keys: tuple[GroupKey, ...],
    slot: int = 0,  # noqa: ARG001 - nothing rotates in a full mesh
) -> Plans:
    """The plans for a snapshot; raises PlanError where there are too many vantages or paths."""
    if len(snapshot.vantages) * (len(snapshot.vantages) - 1) > MAX_PAIRS:
        raise PlanError(f"{len(snapshot.vantages)} vantages are too many for a full mesh of at most {MAX_PAIRS} pairs")
    zones = {node.name: node.zone for node in snapshot.nodes}
    peers = peers_of(snapshot)
    targets = Targets(snapshot, settings)
    paths_of = {
        vantage.name: targets.paths(vantage, peers[vantage.name])
        for vantage in sorted(snapshot.vantages, key=lambda vantage: vantage.name)
    }
    for name, paths in paths_of.items():
        if len(paths) > MAX_PATHS:
            raise PlanError(f"the plan of {name} would have {len(paths)} paths, more than {MAX_PATHS}")
    targeted = target_loads(paths_of, settings)
    eased = {
        name: [stretched(planned, targeted[planned.path.target.name].factor) for planned in paths]
        for name, paths in paths_of.items()
    }
    agents = agent_loads(eased, settings)
    heaviest = max(agents.values(), key=lambda load: (load.factor, load.packets_per_second), default=None)
    factor = heaviest.factor if heaviest else 1.0
    return Plans(
        instance=instance,
        generation=generation,
        keys=keys,
        report_interval_ms=settings.report.milliseconds,
        identities={
            vantage.name: Identity(
                vantage=vantage.name,
                node=vantage.node,
                zone=zones[vantage.node],
                namespace=vantage.namespace,
                pod=vantage.pod,
                addresses=vantage.addresses,
            )
            for vantage in sorted(snapshot.vantages, key=lambda vantage: vantage.name)
        },
        paths_of={name: tuple(stretched(planned, factor) for planned in paths) for name, paths in eased.items()},
        stretched=factor,
        heaviest=heaviest,
        notes=tuple(_notes(snapshot, heaviest, targeted, paths_of)),
    )


def rekeyed(plans: Plans, *, generation: int, keys: tuple[GroupKey, ...]) -> Plans:
    """The same plans with other keys."""
    return structs.replace(plans, generation=generation, keys=keys)


def _notes(
    snapshot: Snapshot,
    heaviest: Load | None,
    targeted: Mapping[str, Load],
    paths_of: Mapping[str, Sequence[PlannedPath]],
) -> Iterator[str]:
    for load in targeted.values():
        if load.factor > 1.0:
            yield f"intervals towards {load.name} are {_excess(load)}"
    if heaviest and heaviest.factor > 1.0:
        yield f"all intervals are {_excess(heaviest)}"
    for service in snapshot.services:
        if service.endpoints == 0:
            yield f"service/{service.namespace}/{service.name} is left out, since it has no ready endpoints"
    for vantage in snapshot.vantages:
        peers = len({planned.path.target.peer for planned in paths_of[vantage.name]})
        if peers > MAX_PEERS:
            yield f"{vantage.name} has {peers} distinct peers, more than the {MAX_PEERS} of an agent's own limit"


def _excess(load: Load) -> str:
    return (
        f"{load.factor:.3f} times as long as configured, "
        f"since {load.name} would see {load.packets_per_second:.1f} packets/s and its budget is {load.budget}"
    )

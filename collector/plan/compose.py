"""Plans: what each agent is asked to do. A function of its arguments and of nothing else.

In come a snapshot, the configuration and the number of the slot, out come the plans of all agents, with what was left out and
why. The same arguments give the same plans on every machine, down to the byte, whatever the order of the snapshot.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from msgspec import Struct, structs

from collector.discovery.snapshot import Snapshot
from collector.expectation.wants import Wants
from collector.plan.aims import Aims
from collector.plan.assignment import MAX_PEERS, Assignment
from collector.plan.budget import Load, factors, received, sent, stretched
from collector.plan.edges import EdgeMaker, Edges, Floats
from collector.plan.matching import Ints
from collector.plan.population import Population
from collector.plan.prints import Printer, Prints
from collector.plan.targets import Intervals, Item, items, pod_name
from collector.plan.wanted import wanted_items
from collector.settings import PlanSettings
from wire.path import Paths
from wire.plan import MAX_PATHS, GroupKey, Identity, Plan, PlannedPath

NOTHING_WANTED = Wants()
MAX_NOTES = 20
"""Most notes of one sort; how many more there are is said."""


class PlanError(ValueError):
    """A snapshot for which no plan can be made; one sentence."""


class _Ground(Struct, frozen=True, eq=False):
    """What stays while only keys and slots change."""

    population: Population
    aims: Aims
    edges: EdgeMaker
    printer: Printer
    static: Edges
    easing: Floats
    """Factor of the intervals towards each target."""
    timeout_ms: int
    report_interval_ms: int
    slots: int
    """Slots of a cycle, 0 where nothing rotates."""


class Plans(Struct, frozen=True, eq=False):
    """What all agents are asked to do. The plan of one is made when it is asked for, and always the same."""

    instance: int
    generation: int
    slot: int
    keys: tuple[GroupKey, ...]
    stretched: float
    """Factor by which all intervals were lengthened, to stay within the agents' budgets."""
    heaviest: Load | None
    """The agent that would use the greatest share of its budget without that factor."""
    notes: tuple[str, ...]
    """What was left out or changed, and why: one sentence each."""
    ground: _Ground
    counts: Ints
    """Number of paths of each vantage."""
    rates: Floats
    """Packets a second of each vantage, before the last stretching."""
    prints: Prints
    """Equal for a vantage in two of these where it is asked the same."""
    since: Ints
    """The generation that the plan of each vantage is of: it stays the same for as long as the plan does."""

    @property
    def vantages(self) -> tuple[str, ...]:
        """Names of all who have a plan, sorted."""
        return self.ground.population.names

    @property
    def paths(self) -> int:
        """Number of paths in all plans together."""
        return int(self.counts.sum())

    @property
    def rotates(self) -> bool:
        """Whether another slot has other plans."""
        return self.ground.slots > 1

    def __len__(self) -> int:
        """Number of plans."""
        return len(self.ground.population)

    def __contains__(self, vantage: object) -> bool:
        """Whether there is a plan for the vantage of this name."""
        return vantage in self.ground.population.number

    def plan(self, vantage: str) -> Plan:
        """The plan of one vantage, made now; raises KeyError."""
        ground = self.ground
        number = ground.population.number[vantage]
        one, paths, easing = ground.population.vantages[number], Paths(vantage), ground.easing
        return Plan(
            instance=self.instance,
            generation=int(self.since[number]),
            identity=Identity(
                vantage=one.name,
                node=one.node,
                zone=ground.population.zone(number),
                namespace=one.namespace,
                pod=one.pod,
                addresses=one.addresses,
            ),
            keys=self.keys,
            report_interval_ms=ground.report_interval_ms,
            paths=tuple(
                PlannedPath(
                    paths.path(aim.target, aim.layer, aim.family, aim.ask, aim.words),
                    stretched(stretched(aim.interval_ms, easing.item(target)), self.stretched),
                    ground.timeout_ms,
                )
                for target, aim in ground.aims.of(number, self.slot)
            ),
            stretched=self.stretched,
        )

    def generation_of(self, vantage: str) -> int:
        """The generation of the plan of one vantage, which may be the same for long; that of all where it has no plan."""
        number = self.ground.population.number.get(vantage)
        return self.generation if number is None else int(self.since[number])

    def following(self, before: "Plans") -> "Plans":
        """The same after others of this process: plans that did not change keep their generation, and nobody fetches them."""
        if (before.instance, before.keys) != (self.instance, self.keys):
            return self
        since, number = self.since.copy(), before.ground.population.number
        old = np.array([number.get(name, -1) for name in self.vantages], np.int64)
        stayed = np.flatnonzero(old >= 0)
        stayed = stayed[self.prints[stayed] == before.prints[old[stayed]]]
        since[stayed] = before.since[old[stayed]]
        return structs.replace(self, since=since)

    def paths_in(self, vantage: str) -> int:
        """Number of paths of one vantage, known without making its plan; raises KeyError."""
        return int(self.counts[self.ground.population.number[vantage]])

    @property
    def total_packets_per_second(self) -> float:
        """What all vantages send together."""
        return float(self.rates.sum()) / self.stretched

    def packets_per_second(self, vantage: str) -> float:
        """What one vantage sends, known without making its plan; raises KeyError."""
        return float(self.rates[self.ground.population.number[vantage]]) / self.stretched


def compose(
    snapshot: Snapshot,
    settings: PlanSettings,
    *,
    instance: int,
    generation: int,
    keys: tuple[GroupKey, ...],
    slot: int = 0,
    wants: Wants = NOTHING_WANTED,
) -> Plans:
    """The plans for a snapshot in a slot, with what expectations want; raises PlanError where one has too many paths."""
    intervals, population = Intervals(settings), Population(snapshot, settings.families)
    shared = items(snapshot, intervals)
    assignment = Assignment(snapshot, population, shared, settings)
    if wants.paths:
        wanted, also = wanted_items(wants.paths, population, assignment, shared, intervals)
        shared = [*shared, *wanted]
        assignment.take(also, population, settings)
    maker = EdgeMaker(population, assignment, shared, intervals, snapshot.mtu)
    edges = maker.static()
    names = [
        *map(pod_name, population.vantages),
        *(f"node/{node.name}" for node in population.nodes),
        *(item.name for item in shared),
    ]
    most_of_vantages, most_of_targets = maker.most_rotating()
    inbound = received(edges, len(names)) + most_of_targets
    budgets = _budgets(len(names), shared, settings)
    easing = factors(inbound, budgets)
    outbound = sent(edges, easing, len(population)) + most_of_vantages
    heaviest = _heaviest(population, outbound, settings.agent_packets_per_second)
    over = [Load(names[target], float(inbound[target]), int(budgets[target])) for target in np.flatnonzero(easing > 1).tolist()]
    ground = _Ground(
        population=population,
        aims=Aims(population, assignment, shared, intervals, snapshot.mtu),
        edges=maker,
        printer=Printer(
            population,
            assignment,
            shared,
            all_share=(repr(settings), snapshot.mtu, heaviest.factor if heaviest else 1.0),
            easing=easing,
        ),
        static=edges,
        easing=easing,
        timeout_ms=settings.timeout.milliseconds,
        report_interval_ms=settings.report.milliseconds,
        slots=assignment.rotation.cycle,
    )
    plans = Plans(
        instance=instance,
        generation=generation,
        slot=slot,
        keys=keys,
        stretched=heaviest.factor if heaviest else 1.0,
        heaviest=heaviest,
        notes=(
            *_budget_notes(heaviest, over),
            *_notes(snapshot, assignment, population, settings),
            *(f"expectation {name}: {said}" for name, said in wants.notes[:MAX_NOTES]),
        ),
        ground=ground,
        counts=np.zeros(0, np.int64),
        rates=np.zeros(0),
        prints=np.zeros(0, np.uint64),
        since=np.zeros(0, np.int64),
    )
    return rotated(plans, generation=generation, keys=keys, slot=slot)


def rekeyed(plans: Plans, *, generation: int, keys: tuple[GroupKey, ...]) -> Plans:
    """The same plans with other keys."""
    return structs.replace(plans, generation=generation, keys=keys, since=np.full(len(plans), generation, np.int64))


def rotated(plans: Plans, *, generation: int, keys: tuple[GroupKey, ...], slot: int) -> Plans:
    """The plans of another slot; intervals stay, since budgets are for the most that any slot can ask."""
    ground = plans.ground
    edges = Edges.of([ground.static, ground.edges.rotating(slot)])
    counts = np.bincount(edges.vantages, edges.paths, len(ground.population)).astype(np.int64)
    if len(counts) and counts.max() > MAX_PATHS:
        name = ground.population.names[int(counts.argmax())]
        raise PlanError(f"the plan of {name} would have {counts.max()} paths, more than {MAX_PATHS}")
    return structs.replace(
        plans,
        generation=generation,
        keys=keys,
        slot=slot,
        counts=counts,
        rates=sent(edges, ground.easing, len(ground.population)),
        prints=ground.printer.of(edges),
        since=np.full(len(ground.population), generation, np.int64),
    )


def _budgets(targets: int, shared: list[Item], settings: PlanSettings) -> Ints:
    budgets = np.full(targets, settings.target_packets_per_second, np.int64)
    first = targets - len(shared)
    for number, item in enumerate(shared):
        if item.external:
            budgets[first + number] = settings.external_packets_per_second
    return budgets


def _heaviest(population: Population, outbound: Floats, budget: int) -> Load | None:
    if not len(population):
        return None
    number = int(outbound.argmax())
    return Load(population.names[number], float(outbound[number]), budget)


def _budget_notes(heaviest: Load | None, over: list[Load]) -> Iterator[str]:
    yield from _first(f"intervals towards {load.name} are {_excess(load)}" for load in over)
    if heaviest and heaviest.factor > 1.0:
        yield f"all intervals are {_excess(heaviest)}"


def _notes(snapshot: Snapshot, assignment: Assignment, population: Population, settings: PlanSettings) -> Iterator[str]:
    yield from _first(
        f"service/{service.namespace}/{service.name} is left out, since it has no ready endpoints"
        for service in snapshot.services
        if service.endpoints == 0
    )
    if assignment.sparse and assignment.rotation.peers < min(settings.rotation.peers, len(population) - 1):
        yield (
            f"{assignment.rotation.peers} peers rotate and not {settings.rotation.peers}, "
            f"since an agent probes at most {MAX_PEERS} distinct peers a minute"
        )
    yield from _first(
        f"{population.names[number]} has {assignment.distinct_peers[number]} distinct peers, "
        f"more than the {MAX_PEERS} of an agent's own limit"
        for number in np.flatnonzero(assignment.distinct_peers > MAX_PEERS).tolist()
    )


def _first(notes: Iterable[str]) -> Iterator[str]:
    every = iter(notes)
    yield from islice(every, MAX_NOTES)
    more = sum(1 for _ in every)
    if more:
        yield f"and {more} more like the last one"


def _excess(load: Load) -> str:
    return (
        f"{load.factor:.3f} times as long as configured, "
        f"since {load.name} would see {load.packets_per_second:.1f} packets/s and its budget is {load.budget}"
    )

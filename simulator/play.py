"""One scenario from its number: draws it, plays it, and says what was found of it and how soon."""

import time
from dataclasses import replace
from typing import Final

import numpy as np
from msgspec import Struct

from collector.verdict.cause import causes
from collector.verdict.hold import Phase
from collector.verdict.incident import Incident, Memory, settled
from collector.verdict.noise import SILENCE, Noise
from simulator.cluster import cluster
from simulator.fault import Fault
from simulator.faults import FULL_MESH, HARMLESS, LARGEST, Draw
from simulator.weather import Weather
from simulator.world import REPORT_S, SECOND, STEP_S, World

WARMING_S: Final = 60.0
QUIET_STEP_S: Final = 5.0
"""How often noise alone is looked at: as often as the collector looks while nothing is urgent."""
SIZES: Final = (10, 20, 30, 50, 100, 200, 400)
ZONED: Final = 6
"""Fewest nodes of three zones: below, there are two."""
FEWEST: Final = 3
"""In so few nodes there is one fault: without one of them, what is another's is a pair's as well."""
HUGE: Final = 5000
EVERY: Final = 25
MOST_HUGE: Final = 20
"""So many scenarios are of so many nodes: every so-manieth, from the first on."""
HARMLESS_SHARE: Final = 0.2
DOUBLE_SHARE: Final = 0.1
FLAPPING_SHARE: Final = 0.08
SECONDS: Final = ("node", "service", "dns", "dead_node")
"""What may happen at the same time as something else; both name servers at once would be another cause."""
CLUSTER: Final = "simulated"


class Found(Struct, frozen=True):
    """What became of one fault."""

    name: str
    truth: str
    seconds: float | None
    """From its start to the open incident; None where there was none in time."""
    layer: bool = False
    single: bool = False
    """Whether nothing else was opened for it."""


class Result(Struct, frozen=True):
    """What became of a scenario."""

    number: int
    nodes: int
    faults: tuple[Found, ...]
    false: tuple[str, ...]
    """Incidents that nobody asked for."""
    harmless: str
    pass_ms: float
    """Longest pass, in CPU time."""


class Judge:
    """The verdict's own code with its memory."""

    def __init__(self) -> None:
        self.noise: Noise = SILENCE
        self.memory = Memory()
        self.longest_s = 0.0

    def look(self, world: World) -> list[Incident]:
        """A step of the world, and the incidents that are open."""
        spans = world.step()
        began = time.process_time()
        found, self.noise = causes(spans, self.noise, known=self.memory.told)
        told, self.memory = settled(
            found, spans[0], self.memory, world.now_ns, cluster=CLUSTER, report_ns=int(REPORT_S * SECOND)
        )
        self.longest_s = max(self.longest_s, time.process_time() - began)
        return [one for one in told if one.phase in {Phase.FIRING, Phase.RESOLVING}]


def scenario(seed: int, number: int, *, nodes: int = 0, kind: str = "") -> Result:
    """Everything follows from the two numbers. `nodes` and `kind` replace what they would have drawn."""
    dice = np.random.default_rng((seed, number))
    size = int(dice.choice(SIZES))
    harmless = dice.random() < HARMLESS_SHARE
    size = nodes or (HUGE if number % EVERY == EVERY - 1 and number < MOST_HUGE * EVERY else size)
    if size == HUGE:
        harmless = False
    ground = cluster(size, 3 if size >= ZONED else min(size, 2), 5 if size <= FULL_MESH else 20)
    start = 1000.0 + WARMING_S + float(dice.random()) * STEP_S
    draw = Draw(ground, dice, start)
    first = kind or str(dice.choice(HARMLESS if harmless else LARGEST if size == HUGE else draw.possible()))
    faults = [draw.fault(first)]
    if not kind and not harmless and first not in {"partition", "zone_pair"} and size > FEWEST:
        chance = dice.random()
        if chance < DOUBLE_SHARE:
            faults.append(draw.fault(str(dice.choice([name for name in SECONDS if not first.startswith(name)]))))
        elif chance < DOUBLE_SHARE + FLAPPING_SHARE and _may_flap(faults[0]):
            faults = [_flapping(faults[0])]
    world = World(ground, faults, dice, Weather())
    return _played(number, world, faults)


def _may_flap(fault: Fault) -> bool:
    """Rarer losses, and probes once in five minutes, flap unseen."""
    return fault.rate > 0.1 and not fault.name.startswith(("mtu", "pair"))  # noqa: PLR2004 - some


def _flapping(fault: Fault) -> Fault:
    within = max(240.0, fault.within_s)
    return replace(fault, name=f"flapping_{fault.name}", stop_s=fault.start_s + 240, flap_s=30.0, within_s=within)


def _played(number: int, world: World, faults: list[Fault]) -> Result:
    judge = Judge()
    end = max(fault.start_s + fault.within_s for fault in faults) + 3 * STEP_S
    opened: dict[tuple[str, str, str], tuple[float, Incident]] = {}
    while world.now_s < end:
        for incident in judge.look(world):
            opened.setdefault((incident.kind, incident.component, incident.direction), (world.now_ns / SECOND, incident))
    found: list[Found] = []
    matched: set[tuple[str, str, str]] = set()
    for fault in faults:
        if fault.truth is None:
            continue
        key = (fault.truth.kind, fault.truth.component, fault.truth.direction)
        when = opened.get(key)
        words = " ".join(key)
        if when is None or when[0] - fault.start_s > fault.within_s + 3 * STEP_S:
            found.append(Found(fault.name, words, None))
            continue
        matched.add(key)
        found.append(Found(fault.name, words, round(when[0] - fault.start_s, 1), when[1].layer is fault.truth.layer))
    false = tuple(f"{' '.join(key)} {one.layer}: {one.sentence}" for key, (_, one) in opened.items() if key not in matched)
    found = [Found(one.name, one.truth, one.seconds, one.layer, one.seconds is not None and not false) for one in found]
    harmless = faults[0].name if faults[0].truth is None else ""
    return Result(number, world.cluster.nodes, tuple(found), false, harmless, round(judge.longest_s * 1000, 1))


def quiet(nodes: int, hours: float, seed: int) -> tuple[list[str], float]:
    """Nothing but noise: the incidents that were opened, and the longest pass in milliseconds."""
    world = World(cluster(nodes, 3, 5), (), np.random.default_rng((seed, nodes)), Weather(), QUIET_STEP_S)
    judge, said = Judge(), dict[str, str]()
    for _ in range(int(hours * 3600 / QUIET_STEP_S)):
        for incident in judge.look(world):
            said.setdefault(incident.id, f"{incident.kind} {incident.component} {incident.direction}: {incident.sentence}")
    return list(said.values()), round(judge.longest_s * 1000, 1)

"""What a plan costs in packets a second, by agent and by target, and how much its intervals must be stretched for it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, structs

from collector.settings import PlanSettings
from wire.path import Layer
from wire.plan import PlannedPath


class Load(Struct, frozen=True):
    """What an agent would send, or a target would get, without stretching."""

    name: str
    """A vantage, or a target."""
    packets_per_second: float
    budget: int

    @property
    def factor(self) -> float:
        """By how much intervals must be longer to stay within the budget, rounded up to thousandths; at least 1."""
        return max(1.0, math.ceil(round(self.packets_per_second / self.budget * 1000, 6)) / 1000)


def packets_per_second(paths: Iterable[PlannedPath]) -> float:
    """What these paths send together."""
    return sum(planned.path.packets * 1000 / planned.interval_ms for planned in paths)


def target_loads(paths_of: Mapping[str, Sequence[PlannedPath]], settings: PlanSettings) -> dict[str, Load]:
    """What each target gets, by its name: whatever its addresses, families and kinds, summed over all agents."""
    inbound: defaultdict[str, list[PlannedPath]] = defaultdict(list)
    for paths in paths_of.values():
        for planned in paths:
            inbound[planned.path.target.name].append(planned)
    return {
        name: Load(
            name,
            packets_per_second(paths),
            settings.external_packets_per_second
            if paths[0].path.layer is Layer.EXTERNAL
            else settings.target_packets_per_second,
        )
        for name, paths in inbound.items()
    }


def agent_loads(paths_of: Mapping[str, Sequence[PlannedPath]], settings: PlanSettings) -> dict[str, Load]:
    """What each agent sends, by its vantage."""
    return {name: Load(name, packets_per_second(paths), settings.agent_packets_per_second) for name, paths in paths_of.items()}


def stretched(planned: PlannedPath, factor: float) -> PlannedPath:
    """The same path, less often."""
    if factor == 1.0:
        return planned
    return structs.replace(planned, interval_ms=math.ceil(planned.interval_ms * factor))

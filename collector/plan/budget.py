"""What plans cost in packets a second, by agent and by target, and how much intervals must be stretched for it. Pure."""

import math

import numpy as np
from msgspec import Struct

from collector.plan.edges import Edges, Floats
from collector.plan.matching import Ints


class Load(Struct, frozen=True):
    """What an agent would send, or a target would get, without stretching."""

    name: str
    """A vantage, or a target."""
    packets_per_second: float
    budget: int

    @property
    def factor(self) -> float:
        """By how much intervals must be longer to stay within the budget, rounded up to thousandths; at least 1."""
        return float(factors(np.array([self.packets_per_second]), np.array([self.budget]))[0])


def factors(packets_per_second: Floats, budgets: Ints) -> Floats:
    """By how much intervals must be longer to stay within budgets, rounded up to thousandths; at least 1."""
    return np.maximum(1.0, np.ceil(np.round(packets_per_second / budgets * 1000, 6)) / 1000)


def sent(edges: Edges, easing: Floats, vantages: int) -> Floats:
    """Packets a second that each of so many vantages sends, where the intervals towards each target are eased by a factor."""
    return np.bincount(edges.vantages, edges.packets / easing[edges.targets], vantages).astype(np.float64)


def received(edges: Edges, targets: int) -> Floats:
    """Packets a second that each of so many targets gets, summed over all agents."""
    return np.bincount(edges.targets, edges.packets, targets).astype(np.float64)


def stretched(interval_ms: int, factor: float) -> int:
    """A longer interval, in whole milliseconds."""
    return interval_ms if factor == 1.0 else math.ceil(interval_ms * factor)

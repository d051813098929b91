"""The ladder: in which layer a cause lies, by which layers above it lose and which do not; and which way packets get lost.

In: what a candidate covers. Out: the lowest layer that shows it. Host lost and pod lost is the underlay; host sound, pod lost
is the overlay, the CNI or a policy; short sound and long lost is the MTU; a cause found in one layer alone is that layer's;
where kernels answer and programs do not, a host is busy.
"""

from math import log
from typing import Final

import numpy as np

from collector.verdict.candidates import NETWORK, Ground, Scope
from collector.verdict.cells import KINDS, LAYERS, Ints, Mask
from collector.verdict.extent import covered, ends_of, members, turned
from wire.path import Kind, Layer

KERNEL: Final = tuple(KINDS.index(kind) for kind in (Kind.ICMP, Kind.TCP))
"""Kinds that the kernel of the other end answers; a program answers all others."""
PINGED: Final = (KINDS.index(Kind.ICMP),)
"""The kind that it answers even where no program listens."""
SURE: Final = 3.0
"""Nats: e^-3 is 5 %."""
MOSTLY_ONE_WAY: Final = 0.95
"""Share of the receipts that say the same, where packets get lost in one direction, besides those of the background."""


def layer_of(scope: Scope, ground: Ground, which: Mask | Ints, usual: float) -> tuple[Layer, bool]:
    """HOST where its loss is likelier that of the pod layer than the background, POD where not, else the candidate's own.

    And whether that is sure.
    """
    if scope.layers != NETWORK:
        return Layer(scope.layers), True
    place = np.flatnonzero(which) if which.dtype == np.bool_ else which
    pod_sent, pod_lost = counted(ground, place[ground.layer[place] == LAYERS.index(Layer.POD)])
    host_sent, host_lost = counted(ground, place[ground.layer[place] == LAYERS.index(Layer.HOST)])
    if not pod_lost:
        return Layer.HOST, pod_sent * host_lost > SURE * max(host_sent, 1.0)
    base = max(usual, 1e-6)
    weight = advantage(host_lost, host_sent, max(pod_lost / max(pod_sent, 1.0), 2 * base), base)
    return Layer.HOST if weight > 0 else Layer.POD, abs(weight) > SURE or not host_sent


def busy(ground: Ground, which: Mask, usual: float, answered: tuple[int, ...] = KERNEL) -> float:
    """By how much it speaks for a busy host that programs lose and kernels do not, in nats, on the pod layer.

    With `PINGED` as what the kernel has `answered`: for a program that has ended.
    """
    pods = which & (ground.layer == LAYERS.index(Layer.POD))
    kernel = np.isin(ground.cells.kind, answered)
    program_sent, program_lost = counted(ground, pods & ~kernel)
    kernel_sent, kernel_lost = counted(ground, pods & kernel)
    if not program_lost:
        return -advantage(kernel_lost, kernel_sent, 0.5, usual)
    return -advantage(kernel_lost, kernel_sent, program_lost / max(program_sent, 1.0), max(usual, 1e-6))


def receipts(scope: Scope, ground: Ground) -> tuple[float, float]:
    """Packets known to be lost into a component and out of it; of two ends: from the first to the second, and back."""
    forward, backward = ground.cells.forward, ground.cells.backward
    if forward is None or backward is None:
        return 0.0, 0.0
    known = np.flatnonzero(ground.judged & (forward + backward > 0) & of_scope(scope, ground))
    source, target = ground.source[known], ground.target[known]
    if ">" in scope.component:
        near, far = ends_of(scope, ground)
        back, ahead = ends_of(turned(scope), ground)
        one, other = near[source] & far[target], back[source] & ahead[target]
    else:
        nodes = members(ground, scope)
        other = nodes[ground.frame.node_of_source[source]]
        one = nodes[ground.frame.node_of_target[target]]
    one, other = one & ~other, other & ~one
    there, here = forward[known], backward[known]
    return float(there[one].sum() + here[other].sum()), float(here[one].sum() + there[other].sum())


def of_scope(scope: Scope, ground: Ground) -> Mask:
    """What a scope covers in both directions."""
    return covered(scope._replace(sides="both"), ground, ground.source, ground.target, ground.layer)


def one_way(most: float, both: float, usual: float) -> float:
    """By how much so many receipts of one direction out of so many speak for that direction alone, in nats.

    As many as are `usual` are of the background, which has no direction.
    """
    background = min(max(usual, 0.0), both)
    other = background / 2 + (1 - MOSTLY_ONE_WAY) * (both - background)
    return advantage(both - most, both, other / max(both, 1.0), 0.5)


def advantage(lost: float, sent: float, loss: float, usual: float) -> float:
    """By how much so many lost speak for one loss rather than another (both 0 to 1), in nats."""
    kept = min(max(loss, 1e-9), 1.0 - 1e-6), min(max(usual, 1e-9), 1.0 - 1e-6)
    return lost * log(kept[0] / kept[1]) + (sent - lost) * log((1 - kept[0]) / (1 - kept[1]))


def counted(ground: Ground, which: Mask | Ints) -> tuple[float, float]:
    """Probes of some cells, and how many of them were lost."""
    return float(ground.sent[which].sum()), float(ground.lost[which].sum())

"""The ladder: in which layer a cause lies, by which of the layers above it lose and which do not.

In: what a candidate covers. Out: the lowest layer that shows it. Host lost and pod lost is the underlay; host sound, pod lost
is the overlay, the CNI or a policy; short sound and long lost is the MTU; a cause found in one layer alone is that layer's.
"""

from math import log

from collector.verdict.candidates import NETWORK, Ground, Scope
from collector.verdict.cells import LAYERS, Mask
from wire.path import Layer


def layer_of(scope: Scope, ground: Ground, which: Mask, usual: float) -> Layer:
    """HOST where its loss is likelier that of the pod layer than the background, POD where not, else the candidate's own."""
    if scope.layers != NETWORK:
        return Layer(scope.layers)
    pod_sent, pod_lost = _counted(ground, which, Layer.POD)
    host_sent, host_lost = _counted(ground, which, Layer.HOST)
    if not host_lost:
        return Layer.POD
    if not pod_lost:
        return Layer.HOST
    base = max(usual, 1e-6)
    loss = max(pod_lost / max(pod_sent, 1.0), 2 * base)
    return Layer.HOST if advantage(host_lost, host_sent, loss, base) > 0 else Layer.POD


def advantage(lost: float, sent: float, loss: float, usual: float) -> float:
    """By how much so many lost speak for one loss rather than another (both 0 to 1), in nats."""
    kept = min(max(loss, 1e-9), 1.0 - 1e-6), min(max(usual, 1e-9), 1.0 - 1e-6)
    return lost * log(kept[0] / kept[1]) + (sent - lost) * log((1 - kept[0]) / (1 - kept[1]))


def _counted(ground: Ground, which: Mask, layer: Layer) -> tuple[float, float]:
    here = which & (ground.layer == LAYERS.index(layer))
    return float(ground.sent[here].sum()), float(ground.lost[here].sum())

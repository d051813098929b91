"""Cells of a few nodes that all probe each other on the pod and host layers, sound but for what a test says."""

from collections.abc import Callable

import numpy as np

from collector.verdict.cells import LAYERS, Cells, End, Ends, Reason
from wire.path import Layer

SECOND = 10**9
ZONES = 3


def ends(nodes: int) -> tuple[Ends, Ends]:
    places = [(f"n{i}", f"z{i % ZONES}") for i in range(nodes)]
    return (
        Ends(End(name, name, zone, "netmatrix", groups=(f"pool={int(name[1:]) % 4}",)) for name, zone in places),
        Ends(
            [
                *(End(f"pod/netmatrix/{name}", name, zone, "netmatrix") for name, zone in places),
                *(End(f"node/{name}", name, zone) for name, zone in places),
                *(End(f"service/shop/s{i}", namespace="shop") for i in range(4)),
            ]
        ),
    )


def mesh(
    nodes: int,
    lost: Callable[[int, int, Layer], int] = lambda _source, _target, _layer: 0,
    *,
    sent: int = 12,
    span_s: int = 60,
    now_s: int = 1000,
    heard_s: int | None = None,
    reason: Reason = Reason.JUDGED,
) -> Cells:
    """`lost` says how many of `sent` from a node to a node, or to a service, got lost."""
    sources, targets = ends(nodes)
    rows = [
        (one, other + (nodes if layer is Layer.HOST else 0), LAYERS.index(layer), lost(one, other, layer))
        for layer in (Layer.POD, Layer.HOST)
        for one in range(nodes)
        for other in range(nodes)
        if one != other
    ]
    rows += [
        (one, 2 * nodes + service, LAYERS.index(Layer.SERVICE), lost(one, service, Layer.SERVICE))
        for one in range(nodes)
        for service in range(4)
    ]
    columns = np.array(rows, np.int64).T
    count = len(rows)
    return Cells(
        (now_s - span_s) * SECOND,
        now_s * SECOND,
        sources,
        targets,
        np.full(nodes, (now_s if heard_s is None else heard_s) * SECOND, np.int64),
        columns[0],
        columns[1],
        columns[2].astype(np.uint8),
        np.zeros(count, np.uint8),
        np.zeros(count, np.uint8),
        np.full(count, sent, np.int64),
        columns[3],
        np.zeros(count, np.uint8),
        np.full(count, reason, np.uint8),
    )

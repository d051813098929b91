"""Cells of a few nodes that all probe each other on the pod and host layers, sound but for what a test says."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from collector.verdict.cells import KINDS, LAYERS, Cells, End, Ends, Reason
from wire.path import Kind, Layer

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


def named(cells: Cells, *, source: str = "", target: str = "") -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Cells from a node, to a node."""
    near = np.array([end.node for end in cells.sources.all])[cells.source]
    far = np.array([end.node for end in cells.targets.all])[cells.target]
    result: np.ndarray[tuple[int], np.dtype[np.bool_]] = ((near == source) | (not source)) & ((far == target) | (not target))
    return result


def twice(cells: Cells) -> Cells:
    """Every cell by the kernel and by a program."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(cells, name)] * 2)
        for name in ("source", "target", "layer", "family", "sent", "lost", "expected", "reason")
    }
    kinds = np.repeat([KINDS.index(Kind.ICMP), KINDS.index(Kind.UDP)], len(cells)).astype(np.uint8)
    keep = (columns["layer"] == LAYERS.index(Layer.POD)) | (kinds == KINDS.index(Kind.ICMP))
    return replace(cells, kind=kinds[keep], **{name: column[keep] for name, column in columns.items()})

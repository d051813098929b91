"""The demonstration: a cluster out of nothing, its matrix from real packets, a fault, where it bites, and the fault gone."""

import asyncio
import json
import os
import shutil
import socket
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TextIO

import aiohttp
import yaml
from msgspec import Struct

from collector.cli.table import render_matrix
from lab import monitoring
from lab.cluster import Cluster, demolish, labs
from lab.evidence import Cell
from lab.faults import Loss
from lab.news import News
from lab.scenario import PLAN
from lab.shape import Fabric, Shape
from lab.topology import Topology
from lab.watch import Watch

EXPECTATION = Path(__file__).parent / "examples" / "shop-reaches-pay.yaml"
POLICY = Path(__file__).parent / "examples" / "pay-not-into-shop.yaml"
DENIED = ("pay", "shop")
"""From where to where that policy closes the way: what is lost there is no loss."""
SHAPE = Shape(nodes=6, zones=3, namespaces=("shop", "pay"))
FAULT = Loss(node="n5", direction="in", percent=30.0)
"""Of a node that neither shop nor pay has a pod on: what is left of it would explain, for minutes, what is broken there."""
FAULT_AT, CLEAR_AT = 0.4, 0.75
"""When the fault begins and ends, as shares of the whole time; without an end, of TURN_SECONDS."""
TURN_SECONDS = 50.0
DEMO = "demo"
"""What the names of the labs of demos begin with."""
USUAL_PORT = 8080
REFRESH_SECONDS = 1.0
BLOCK_SECONDS = 5.0
"""Between two matrices where the output is no terminal."""
FIRST_SECONDS = 15.0
"""A matrix is shown so long after the start even where a path has no answer yet."""


class Wish(Struct, frozen=True):
    """What the command line asks for."""

    seconds: float | None = None
    """How long after the first matrix it ends; None for until it is interrupted."""
    json_file: Path | None = None
    port: int = USUAL_PORT
    fabric: Fabric = Fabric.FLAT

    @property
    def which(self) -> str:
        """What `make break` has to be told so that it means this demo and no other."""
        return "" if self.port == USUAL_PORT else f' ARGS="--port {self.port}"'


def taken(port: int) -> str:
    """Why the API cannot be served on a port of 127.0.0.1, in one sentence; empty where it can."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            return f"port {port} of 127.0.0.1 cannot be used ({os.strerror(error.errno or 0)}): choose another with --port"
    return ""


def demo_name(port: int) -> str:
    """What the lab of a demo is called."""
    return f"{DEMO}{port or os.getpid()}"


async def demo(wish: Wish, out: TextIO = sys.stdout) -> None:
    """Run it from nothing to nothing; whatever ends it, the cluster is removed."""
    name = demo_name(wish.port)
    if name in labs():
        demolish(name)  # left by a demo that was killed: the port is free, so no other one runs
    cluster = Cluster(
        _shape(wish.fabric),
        name,
        PLAN,
        port=wish.port,
        policies=[yaml.safe_load(POLICY.read_text())],
        expectations=[yaml.safe_load(EXPECTATION.read_text())],
    )
    began = monotonic()
    screen = _Screen(out)
    try:
        screen.line(
            f"starting {SHAPE.nodes} nodes in {SHAPE.zones} zones, {len(SHAPE.namespaces) + 1} namespaces, "
            f"{len(SHAPE.namespaces)} services and an external host, as network namespaces of this machine"
        )
        await cluster.up()
        screen.line(f"agents and collector are running ({monotonic() - began:.1f} s); waiting for the first reports")
        async with aiohttp.ClientSession() as session:
            watch = Watch(cluster.api_url, session)
            news = News(cluster, watch)
            try:
                await _show(wish, cluster, watch, news, screen, began=began)
            finally:
                await news.close()
    finally:
        with suppress(OSError):  # whoever read the output may be gone
            screen.line("removing the cluster")
        await cluster.down()


def _shape(fabric: Fabric) -> Shape:
    """With the real Prometheus and Alertmanager where this machine has them."""
    real = replace(SHAPE, fabric=fabric, alerting="prometheus")
    return replace(real, alerting="webhook") if monitoring.lacking(Topology.of(real, DEMO)) else real


async def _show(wish: Wish, cluster: Cluster, watch: Watch, news: News, screen: "_Screen", *, began: float) -> None:
    await _first(watch, began)
    alertmanager = await news.open()
    screen.line(f"measured from real packets, {monotonic() - began:.1f} s after the start")
    screen.line(f"the page is at {cluster.api_url}, and what it is made of at {cluster.api_url}/api/v1/matrix?by=node")
    screen.line(f"Alertmanager is at {alertmanager}" if alertmanager else "alerts arrive at a receiver of the lab")
    again = wish.which
    screen.line(f"in another terminal, `make break{again}` closes the path from shop to pay, and `make mend{again}` opens it")
    seen = partial(_refresh, _Look(watch, news, screen))
    start = monotonic()
    turn = wish.seconds or TURN_SECONDS
    fault_at, clear_at = FAULT_AT * turn, CLEAR_AT * turn
    await seen(start, fault_at, "quiet: nothing should be lost")
    await cluster.apply(FAULT)
    what = f"FAULT: {FAULT.percent:g} % of the packets into {FAULT.node} are dropped"
    screen.event(what)
    bitten = await seen(start, clear_at, what, since=monotonic())
    await cluster.clear()
    for line in bitten:
        screen.event(line)
    what = f"CLEARED: {len(cluster.drops.records)} packets were dropped in all"
    screen.event(what)
    await seen(start, wish.seconds, what, kept=bitten)
    if wish.json_file is not None:
        answer = await watch.ask("matrix", span=f"{max(1, min(300, round(monotonic() - start)))}s")
        wish.json_file.write_text(json.dumps({"cells": answer["cells"] if answer else []}, indent=1) + "\n")
        screen.line(f"the matrix is in {wish.json_file}")


async def _first(watch: Watch, began: float) -> None:
    """Wait until every pair of pods has an answer, or for so long that those without one are worth showing."""
    while monotonic() - began < FIRST_SECONDS:
        matrix = await watch.ask("matrix", layer="pod", kind="udp", totals="true")
        if matrix and matrix["cells"] and all(cell["received"] for cell in matrix["cells"]):
            return
        await asyncio.sleep(0.2)


async def _refresh(
    look: "_Look",
    start: float,
    until: float | None,
    what: str,
    *,
    since: float | None = None,
    kept: Sequence[str] = (),
) -> list[str]:
    """Show the matrix again and again; return the last words on where the fault bites, which stay below it."""
    watch, news, screen = look
    words = list(kept)
    while until is None or monotonic() - start < until:
        span = min(10.0, max(2.0, monotonic() - (since or start)))
        group = await watch.ask("matrix", by="node", span=f"{round(span)}s")
        beyond = [await watch.ask("matrix", layer=layer, span=f"{round(span)}s") for layer in ("service", "external")]
        if since is not None and monotonic() - since > 2 * REFRESH_SECONDS:
            matrix = await watch.ask("matrix", span=f"{max(1, int(monotonic() - since))}s")
            words = where_it_bites(matrix["cells"], FAULT.node) if matrix else words
        for line in await news.look():
            screen.line(line)
        seconds = monotonic() - start
        services, outside = (_lost(_expected(answer["cells"])) if answer else "no answer" for answer in beyond)
        screen.matrix(
            group,
            above=[f"{seconds:.0f} s   {what}", *words, *news.lines],
            below=[f"through services: {services}   to the external host: {outside}"],
        )
        pause = screen.pause if until is None else min(screen.pause, until - (monotonic() - start))
        await asyncio.sleep(max(0.05, pause))
    return words


def where_it_bites(cells: Sequence[Cell], node: str) -> list[str]:
    """What the matrix says of one node against all others, in two sentences with their numbers."""
    inside = [
        cell for cell in _expected(cells) if cell["layer"] in {"pod", "host"} and cell["from"]["node"] != cell["to"]["node"]
    ]
    into = [cell for cell in inside if cell["to"]["node"] == node]
    out = [cell for cell in inside if cell["from"]["node"] == node]
    rest = [cell for cell in inside if node not in {cell["from"]["node"], cell["to"]["node"]}]
    arriving = _measure(into, "forward_lost") + _measure(out, "backward_lost")
    leaving = _measure(into, "backward_lost") + _measure(out, "forward_lost")
    return [
        f"it bites at {node}: to it {_lost(into)}, from it {_lost(out)}, between all others {_lost(rest)}",
        f"udp tells the directions apart: {arriving} packets lost on the way into {node}, {leaving} on the way out of it",
    ]


def _expected(cells: Sequence[Cell]) -> list[Cell]:
    """Without those that a policy closes."""
    return [cell for cell in cells if (cell["from"]["namespace"], cell["to"]["namespace"]) != DENIED]


def _lost(cells: Sequence[Cell]) -> str:
    sent = sum(cell["sent"] for cell in cells)
    lost = sum(cell["late"] + sum(cell["failed"].values()) for cell in cells)
    return f"{lost} of {sent} probes lost ({100 * lost / sent:.1f} %)" if sent else "no probes"


def _measure(cells: Sequence[Cell], name: str) -> int:
    return sum(cell["measures"].get(name, 0) for cell in cells)


class _Look(NamedTuple):
    """What is looked at, and where it is shown."""

    watch: Watch
    news: News
    screen: "_Screen"


class _Screen:
    """A terminal, where a matrix replaces the last one, or a plain stream of blocks."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._height = 0
        self.pause = REFRESH_SECONDS if self._live else BLOCK_SECONDS

    def line(self, text: str) -> None:
        """A line that stays."""
        self._height = 0
        print(text, file=self._out, flush=True)

    def event(self, text: str) -> None:
        """A line that stays where there is no terminal; there it stands above the matrix anyway."""
        if not self._live:
            self.line(text)

    def matrix(self, group: Mapping[str, Any] | None, *, above: Sequence[str], below: Sequence[str]) -> None:
        """The matrix with words above and below it, in place of the last one; None where the collector does not answer."""
        columns = shutil.get_terminal_size((128, 50)).columns
        drawn = "the collector does not answer" if group is None else render_matrix(group, colour=self._live, width=columns)
        table = drawn.rstrip("\n").split("\n")
        wrapped = [[line for text in words for line in textwrap.wrap(text, columns)] for words in (above, below)]
        lines = ["", *wrapped[0], "", *table, *wrapped[1]]
        up = f"\x1b[{self._height}A\x1b[J" if self._live and self._height else ""
        print(up + "\n".join(lines), file=self._out, flush=True)
        self._height = len(lines)

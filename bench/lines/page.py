"""The page at 1,000 nodes: what a picture weighs, how long a real browser draws it, what many open pages cost the collector."""

import http.client
import itertools
import shutil
import statistics
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from playwright.sync_api import sync_playwright

from bench.cluster import Cluster
from bench.measurement import Bar, Unavailable

NODES: Final = 1000
FEW: Final = 200
PAGES: Final = 50
FIRST_NODES: Final = 10
OPENED: Final = 5
SECONDS: Final = 30.0
PICTURE: Final = "/api/v1/picture?by=node&shade=p99"
SWITCHES: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DRAWN: Final = """async () => {
    const { board } = document.querySelector('.board canvas'), taken = [];
    for (let round = 0; round < 9; round++) {
        const began = performance.now();
        board.show(board.picture);
        board.canvas.getContext('2d').getImageData(0, 0, 1, 1);
        taken.push(performance.now() - began);
    }
    return taken;
}"""
"""Milliseconds from codes to pixels; reading one back waits until all are there."""
PANNED: Final = """async () => {
    const { board } = document.querySelector('.board canvas'), frames = [];
    board.view.zoom = 4;
    for (let frame = 0; frame < 90; frame++) {
        board.view.x = frame * 5;
        board.view.y = frame * 5;
        board.later();
        frames.push(await new Promise(requestAnimationFrame));
    }
    return frames;
}"""
"""When each frame came while the matrix moves under it."""


class Page:
    """A mesh of 1,000 nodes, as a collector of its own and played agents."""

    WEIGHT: Final = "page: matrix of 1,000 nodes, compressed"
    DRAW: Final = "page: matrix of 1,000 nodes drawn"
    PAN: Final = "page: one frame while the matrix of 1,000 nodes is panned"
    OPEN: Final = f"page: {PAGES} open pages, collector"
    FIRST: Final = "page: first matrix, after opening a cluster of 10 nodes"
    bars = (
        Bar(FIRST, "s", 1.0),
        Bar(WEIGHT, "kB", 300),
        Bar(DRAW, "ms", 300),
        Bar(PAN, "ms", 1000 / 30),
        Bar(OPEN, "cores", 0.1),
    )

    def __enter__(self) -> Self:
        """Nothing yet; raises Unavailable without a browser."""
        if shutil.which("chromium") is None:
            raise Unavailable("there is no chromium")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Nothing stays behind."""

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """All five."""
        first = _first()
        nodes = FEW if quick else NODES
        plan = {
            "full_mesh_nodes": nodes,
            "kinds": {"icmp": 0, "udp": 1, "tcp": 0, "http": 0},
            "target_packets_per_second": 10_000,
        }
        with Cluster(nodes, plan=plan) as cluster, cluster.load("mesh", seconds=3600, every=5) as played:
            played.wait(4, seconds=1800)
            figures = {
                self.FIRST: first,
                self.WEIGHT: _weight(cluster) / 1000,
                **self._drawn(cluster),
            }
            began, cpu = time.monotonic(), cluster.cpu_seconds
            time.sleep(SECONDS)
            alone = (cluster.cpu_seconds - cpu) / (time.monotonic() - began)
            figures[self.OPEN] = _watched(cluster) - alone
        return figures

    def _drawn(self, cluster: Cluster) -> dict[str, float]:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(SWITCHES))
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.goto(f"{cluster.url}/#/?by=node&measure=p99")
            page.get_by_text(f" by {cluster.nodes}, ").wait_for(timeout=120_000)
            page.get_by_role("button", name="Pause").click()
            drawn: list[float] = page.evaluate(DRAWN)
            frames: list[float] = page.evaluate(PANNED)
            browser.close()
        apart = [after - before for before, after in itertools.pairwise(frames)]
        return {self.DRAW: statistics.median(drawn), self.PAN: statistics.mean(apart)}


def _weight(cluster: Cluster) -> int:
    """Bytes of the picture as a browser gets it."""
    asking = http.client.HTTPConnection(cluster.url.removeprefix("http://"), timeout=60)
    asking.request("GET", PICTURE, headers={"Accept-Encoding": "gzip"})
    answer = asking.getresponse()
    body = answer.read()
    asking.close()
    if answer.status != http.client.OK or answer.headers["Content-Encoding"] != "gzip":
        raise RuntimeError(f"no picture: {answer.status}")
    return len(body)


def _first() -> float:
    """Seconds from the address to the drawn matrix: the whole page, in a browser that has never seen it."""
    plan = {"kinds": {"icmp": 0, "udp": 1, "tcp": 0, "http": 0}}
    with Cluster(FIRST_NODES, plan=plan) as cluster, cluster.load("first", seconds=600, every=5) as played:
        played.wait(4, seconds=120)
        taken = []
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(SWITCHES))
            for _ in range(OPENED):
                page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
                began = time.monotonic()
                page.goto(f"{cluster.url}/#/?by=node&measure=loss")
                page.get_by_text(" pairs measured").wait_for(timeout=60_000)
                taken.append(time.monotonic() - began)
                page.context.close()
            browser.close()
    return statistics.median(taken)


def _watched(cluster: Cluster) -> float:
    """Cores of the collector while many pages look at the same, each asking anew at every beat."""
    over = threading.Event()
    pages = [threading.Thread(target=_look, args=(cluster.url.removeprefix("http://"), over)) for _ in range(PAGES)]
    for page in pages:
        page.start()
    time.sleep(5)
    began, cpu = time.monotonic(), cluster.cpu_seconds
    time.sleep(SECONDS)
    cores = (cluster.cpu_seconds - cpu) / (time.monotonic() - began)
    over.set()
    for page in pages:
        page.join()
    return cores


def _look(host: str, over: threading.Event) -> None:
    """What one page asks: a beat, then how it stands, and the picture."""
    events = http.client.HTTPConnection(host, timeout=30)
    events.request("GET", "/api/v1/events")
    beats = events.getresponse()
    asking = http.client.HTTPConnection(host, timeout=60)
    while not over.is_set():
        if beats.readline().startswith(b"data:"):
            for path in ("/api/v1/incidents", PICTURE):
                asking.request("GET", path, headers={"Accept-Encoding": "gzip"})
                answer = asking.getresponse()
                answer.read()
    events.close()
    asking.close()

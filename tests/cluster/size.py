"""How discovery does with a large cluster: `python -m tests.cluster.size` fills a control plane and runs the collector on it.

It prints how long the first whole plan takes, what the collector occupies, what changes cost it, and what it asks at rest.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from tests.cluster import programs
from tests.cluster.filling import CONCURRENCY, OWN, SPACES, Filler, done, fill, replaced, slice_of
from tests.cluster.plane import ADMINISTRATOR, Plane

if TYPE_CHECKING:
    import ssl

TICKS = os.sysconf("SC_CLK_TCK")


class Watched:
    """A process, from outside."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def seconds(self) -> float:
        """CPU seconds that it used."""
        words = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICKS

    def mebibytes(self, key: str = "VmRSS") -> float:
        """What it occupies, or did at most (`VmHWM`)."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


async def metric(session: aiohttp.ClientSession, url: str, name: str) -> float | None:
    try:
        async with session.get(f"{url}/metrics") as answer:
            text = await answer.text()
    except aiohttp.ClientError:
        return None
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} ")), None)


async def changing(seconds: float, change: Callable[[int], Awaitable[object]], rate: int = 50) -> int:
    """So many changes a second; how many there were."""
    began, changes = time.monotonic(), 0
    async with asyncio.TaskGroup() as tasks:
        while time.monotonic() - began < seconds:
            tasks.create_task(done(change(changes)))
            changes += 1
            await asyncio.sleep(max(0.0, began + changes / rate - time.monotonic()))
    return changes


async def measure(filler: Filler, plane: Plane, folder: Path, asked: argparse.Namespace) -> None:
    """Run the collector and print what it takes."""
    nodes, services, seconds = asked.nodes, asked.services, asked.seconds
    (folder / "config.yaml").write_text("agents: {listen: '127.0.0.1:0'}\noperators: {listen: '127.0.0.1:18080'}\n")
    url = "http://127.0.0.1:18080"
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", "--cluster", "--kubeconfig", str(plane.kubeconfig)),
        *("--config", str(folder / "config.yaml")),
        stdout=(folder / "collector.log").open("wb"),
    )
    watched = Watched(process.pid)
    try:
        async with aiohttp.ClientSession() as session:
            while not (generation := await metric(session, url, "netmatrix_plan_generation")) or generation < 2:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.5)
            first = time.monotonic() - began
            print(
                f"first whole plan after {first:.1f} s, {watched.seconds():.1f} s of CPU, "
                f"{watched.mebibytes():.0f} MiB resident, {watched.mebibytes('VmHWM'):.0f} at most",
                flush=True,
            )
            await asyncio.sleep(1.5 * seconds)
            print(f"later: {watched.seconds():.1f} s of CPU, {watched.mebibytes():.0f} MiB resident", flush=True)
            await laid(watched)
            for what, change in (
                ("nothing", None),
                (
                    "conditions of nodes",
                    lambda n: filler.send(
                        "PATCH", f"/api/v1/nodes/n{n % nodes}/status", {"status": {"nodeInfo": {"kernelVersion": f"6.{n}"}}}
                    ),
                ),
                (
                    "endpoints of services that nobody probes",
                    lambda n: filler.send(
                        "PATCH",
                        f"/apis/discovery.k8s.io/v1/namespaces/team-{(n * 100 + 7) % services % SPACES}"
                        f"/endpointslices/svc-{(n * 100 + 7) % services}-1",
                        {"endpoints": slice_of((n * 100 + 7) % services, "", ready=n * 100 // services % 2 == 0)["endpoints"]},
                    ),
                ),
                (
                    "agents that are ready and not",
                    lambda n: filler.send(
                        "PATCH",
                        f"/api/v1/namespaces/{OWN}/pods/agent-{n % nodes}/status",
                        {"status": {"conditions": [{"type": "Ready", "status": "False" if n // nodes % 2 == 0 else "True"}]}},
                    ),
                ),
                # Last, since rows are laid anew for a minute after it.
                ("agents that are replaced", lambda n: replaced(filler, n % nodes)),
            ):
                before, at = watched.seconds(), time.monotonic()
                asked_before = await metric(session, url, "netmatrix_kube_requests_total") or 0.0
                changes = await changing(seconds, change) if change else await _rest(seconds)
                spent = time.monotonic() - at
                share = (watched.seconds() - before) / spent
                generation = await metric(session, url, "netmatrix_plan_generation")
                requests = (await metric(session, url, "netmatrix_kube_requests_total") or 0.0) - asked_before
                print(
                    f"{changes / spent:.0f} changes/s of {what}: {share:.1%} of a core, {watched.mebibytes():.0f} MiB, "
                    f"plan {generation:.0f}, {requests / spent:.2f} requests/s",
                    flush=True,
                )
    finally:
        process.terminate()
        await process.wait()


async def laid(watched: Watched) -> None:
    """Wait until the rows of the first plan stand; without agents that takes half of a core for a minute or two."""
    for _ in range(36):
        before = watched.seconds()
        await asyncio.sleep(5.0)
        if watched.seconds() - before < 1.0:
            return


async def _rest(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return 0


async def main() -> None:
    """Fill, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each sort of change goes on")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, Plane(programs.folder(), Path(made) / "plane") as plane:
        trust: ssl.SSLContext = plane.credentials.context(ADMINISTRATOR)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=CONCURRENCY)) as session:
            filler = Filler(session, plane.url)
            print(f"{asked.nodes} nodes, {2 * asked.nodes} pods of netmatrix, {asked.services} services", flush=True)
            await fill(filler, asked.nodes, asked.services)
            await measure(filler, plane, Path(made), asked)


if __name__ == "__main__":
    asyncio.run(main())

"""How discovery does with a large cluster: `python -m tests.cluster.size` fills a control plane and runs the collector on it.

It prints how long the first whole plan takes, what the collector occupies, what changes cost it, and what it asks at rest.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from tests.cluster import programs
from tests.cluster.api import Object
from tests.cluster.kubelet import node, running
from tests.cluster.plane import ADMINISTRATOR, Plane

if TYPE_CHECKING:
    import ssl

OWN = "netmatrix"
SPACES = 50
CONCURRENCY = 24
IMAGES = [
    {"names": [f"registry.example.test/team/image-{number}@sha256:{number:064x}", f"registry.example.test/image:{number}"]}
    for number in range(40)
]
TICKS = os.sysconf("SC_CLK_TCK")


class Filler:
    """Creates objects, many at a time."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._few = asyncio.Semaphore(CONCURRENCY)

    async def send(self, method: str, path: str, body: Object) -> Object:
        """One request that must succeed, or find that it was done before."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        async with self._few:
            for attempt in range(8):
                async with self._session.request(method, self._url + path, json=body, headers={"Content-Type": kind}) as answer:
                    found: Object = await answer.json()
                    if answer.status < 300 or answer.status == 409:
                        return found
                    if answer.status not in {429, 500, 503, 504}:
                        raise RuntimeError(f"{answer.status} {found}")
                await asyncio.sleep(0.2 * 2**attempt)
        raise RuntimeError(f"{path}: no success")

    async def all(self, what: str, jobs: Iterable[Awaitable[object]]) -> None:
        """Do all of them."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(_done(job))
        print(f"  {what} in {time.monotonic() - began:.0f} s", flush=True)


async def _done(job: Awaitable[object]) -> None:
    await job


def address(number: int, network: int) -> str:
    return f"{network}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


async def fill(filler: Filler, nodes: int, services: int) -> None:
    """Nodes with an agent each and as many vantages, and services with an endpoint each, every hundredth one annotated."""

    async def machine(number: int) -> None:
        body = node(f"n{number}", [address(number, 172)], zone=f"z{number % 3}")
        body["status"]["images"] = IMAGES
        await filler.send("POST", "/api/v1/nodes", body)

    async def pod(number: int, space: str, component: str, network: int) -> None:
        name = f"{component}-{number}"
        body: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": space,
                "labels": {
                    "app.kubernetes.io/name": "netmatrix",
                    "app.kubernetes.io/instance": "netmatrix",
                    "app.kubernetes.io/component": component,
                    "controller-revision-hash": "5f8d7c6b9",
                },
            },
            "spec": {
                "nodeName": f"n{number}",
                "tolerations": [{"operator": "Exists"}],
                "containers": [
                    {
                        "name": "agent",
                        "image": "netmatrix:0.1.0",
                        "env": [{"name": f"NETMATRIX_{word}", "value": word * 8} for word in ("A", "B", "C", "D", "E", "F")],
                        "ports": [{"name": "stamp", "containerPort": 8620, "protocol": "UDP"}],
                    }
                ],
            },
        }
        made = await filler.send("POST", f"/api/v1/namespaces/{space}/pods", body)
        status = running(body if "spec" not in made else made, [address(number, network)], ready=True)
        await filler.send("PATCH", f"/api/v1/namespaces/{space}/pods/{name}/status", {"status": status})

    async def service(number: int) -> None:
        space = f"team-{number % SPACES}"
        metadata: Object = {"name": f"svc-{number}", "namespace": space}
        if number % 100 == 0:
            metadata["annotations"] = {"netmatrix.io/probe": "tcp"}
        body: Object = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}
        await filler.send("POST", f"/api/v1/namespaces/{space}/services", body)
        await filler.send("POST", f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices", slice_of(number, space))

    spaces = [OWN, *(f"team-{number}" for number in range(SPACES))]
    labels = {"netmatrix.io/vantage": "true"}
    await filler.all(
        f"{len(spaces)} namespaces",
        (
            filler.send(
                "POST",
                "/api/v1/namespaces",
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
            )
            for name in spaces
        ),
    )
    for plural, kind, name in (("secrets", "Secret", "netmatrix-authority"), ("configmaps", "ConfigMap", "netmatrix-ca")):
        empty = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": OWN}}
        await filler.send("POST", f"/api/v1/namespaces/{OWN}/{plural}", empty)
    for space in spaces[1:]:
        authority = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "netmatrix-ca", "namespace": space}}
        await filler.send("POST", f"/api/v1/namespaces/{space}/configmaps", authority)
    await asyncio.sleep(3.0)  # until they have their ServiceAccounts
    await filler.all(f"{nodes} nodes", map(machine, range(nodes)))
    await filler.all(f"{nodes} agents", (pod(number, OWN, "agent", 10) for number in range(nodes)))
    await filler.all(f"{nodes} vantages", (pod(number, f"team-{number % SPACES}", "vantage", 11) for number in range(nodes)))
    await filler.all(f"{services} services with endpoints", map(service, range(services)))


def slice_of(number: int, space: str, *, ready: bool = True) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"svc-{number}-1",
            "namespace": space,
            "labels": {"kubernetes.io/service-name": f"svc-{number}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [address(number * 4 + place, 10)], "conditions": {"ready": ready or place > 0}, "nodeName": "n1"}
            for place in range(3)
        ],
    }


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
    began, done = time.monotonic(), 0
    async with asyncio.TaskGroup() as tasks:
        while time.monotonic() - began < seconds:
            tasks.create_task(_done(change(done)))
            done += 1
            await asyncio.sleep(max(0.0, began + done / rate - time.monotonic()))
    return done


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
            ):
                before, at = watched.seconds(), time.monotonic()
                done = await changing(seconds, change) if change else await _rest(seconds)
                spent = time.monotonic() - at
                share = (watched.seconds() - before) / spent
                generation = await metric(session, url, "netmatrix_plan_generation")
                print(
                    f"{done / spent:.0f} changes/s of {what}: {share:.1%} of a core, {watched.mebibytes():.0f} MiB, "
                    f"plan {generation:.0f}",
                    flush=True,
                )
    finally:
        process.terminate()
        await process.wait()


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

"""Fills a control plane as a large cluster would: nodes, pods of netmatrix, services with endpoints, many at a time."""

import asyncio
import time
from collections.abc import Awaitable, Iterable

import aiohttp

from tests.cluster.api import Object
from tests.cluster.kubelet import node, running

OWN = "netmatrix"
SPACES = 50
CONCURRENCY = 24
IMAGES = [
    {"names": [f"registry.example.test/team/image-{number}@sha256:{number:064x}", f"registry.example.test/image:{number}"]}
    for number in range(40)
]


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
                tasks.create_task(done(job))
        print(f"  {what} in {time.monotonic() - began:.0f} s", flush=True)


async def done(job: Awaitable[object]) -> None:
    """For tasks, which take no awaitable."""
    await job


def address(number: int, network: int) -> str:
    return f"{network}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


async def run_pod(filler: Filler, number: int, space: str, component: str, network: int) -> None:
    """A pod of netmatrix on its node, which is ready."""
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


async def replaced(filler: Filler, number: int) -> None:
    """An agent's pod is deleted, and there is another one at once."""
    await filler.send("DELETE", f"/api/v1/namespaces/{OWN}/pods/agent-{number}", {"gracePeriodSeconds": 0})
    await run_pod(filler, number, OWN, "agent", 10)


async def fill(filler: Filler, nodes: int, services: int) -> None:
    """Nodes with an agent each and as many vantages, and services with an endpoint each, every hundredth one annotated."""

    async def machine(number: int) -> None:
        body = node(f"n{number}", [address(number, 172)], zone=f"z{number % 3}")
        body["status"]["images"] = IMAGES
        await filler.send("POST", "/api/v1/nodes", body)

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
    await filler.all(f"{nodes} agents", (run_pod(filler, number, OWN, "agent", 10) for number in range(nodes)))
    await filler.all(
        f"{nodes} vantages", (run_pod(filler, number, f"team-{number % SPACES}", "vantage", 11) for number in range(nodes))
    )
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

"""A collector in the process of a test, spoken to over its two ports."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import trustme
import yaml

from collector.app import Collector
from collector.configuration import Configuration
from wire.codec import compress, decode_plan, encode
from wire.plan import Plan
from wire.report import Report

KEY = "0123456789abcdef0123456789abcde"


def inventory(*names: str) -> str:
    return yaml.safe_dump(
        {
            "nodes": [
                {"name": f"node-{name}", "zone": "z1", "addresses": [f"172.30.0.{n}"]} for n, name in enumerate(names, 1)
            ],
            "vantages": [
                {
                    "name": name,
                    "node": f"node-{name}",
                    "namespace": "netmatrix",
                    "pod": f"agent-{name}",
                    "addresses": [f"10.30.{n}.2"],
                    "key": KEY + name,
                }
                for n, name in enumerate(names, 1)
            ],
        }
    )


@dataclass
class Running:
    """A collector, from outside."""

    agents: str
    operators: str
    trust: ssl.SSLContext

    async def plan(self, name: str = "a", etag: str = "") -> Plan:
        headers = {"Authorization": f"Bearer {KEY}{name}"} | ({"If-None-Match": etag, "Prefer": "wait=10"} if etag else {})
        url = f"{self.agents}/agent/v1/plan"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=self.trust) as answer:
            return decode_plan(await answer.read())

    async def deliver(self, report: Report, *, name: str = "a") -> tuple[int, bytes]:
        headers = {
            "Authorization": f"Bearer {KEY}{name}",
            "Content-Type": "application/msgpack",
            "Content-Encoding": "gzip",
        }
        async with aiohttp.ClientSession() as session:
            url, body = f"{self.agents}/agent/v1/report", compress(encode(report))
            async with session.post(url, data=body, headers=headers, ssl=self.trust) as answer:
                return answer.status, await answer.read()

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession(self.operators) as session, session.get(path) as answer:
            return await answer.json() if answer.content_type == "application/json" else await answer.text()


def configured(
    folder: Path, authority: trustme.CA, plan: Mapping[str, object], operators: Mapping[str, object] = MappingProxyType({})
) -> ssl.SSLContext:
    """Write a configuration with certificates; what its clients trust."""
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "tls.pem")
    configuration = {
        "agents": {"listen": "127.0.0.1:0", "tls": {"certificate": str(folder / "tls.pem"), "key": str(folder / "tls.pem")}},
        "operators": {"listen": "127.0.0.1:0", **operators},
        "plan": {"interval": "1s", "report": "1s", **plan},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration))
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trust)
    return trust


@asynccontextmanager
async def running(
    folder: Path,
    authority: trustme.CA,
    plan: Mapping[str, object] = MappingProxyType({}),
    operators: Mapping[str, object] = MappingProxyType({}),
) -> AsyncIterator[Running]:
    """A collector in this process, which forgets everything when it is left."""
    trust = configured(folder, authority, plan, operators)
    stop, ports = asyncio.Event(), asyncio.Queue[tuple[int, int]]()
    collector = Collector(Configuration(folder / "config.yaml"), folder / "inventory.yaml")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(collector.run(stop, listening=lambda agents, operators: ports.put_nowait((agents, operators))))
        agent_port, operator_port = await ports.get()
        try:
            yield Running(f"https://127.0.0.1:{agent_port}", f"http://127.0.0.1:{operator_port}", trust)
        finally:
            stop.set()

"""Every query of every dashboard, asked of a real Prometheus that scrapes a real collector of a lab."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from lab.cluster import Cluster
from lab.faults import Loss
from lab.scenario import PLAN
from lab.shape import Shape
from lab.watch import Watch
from manifests.dashboards.boards import DASHBOARDS
from manifests.dashboards.panels import Query

pytestmark = pytest.mark.lab

CHOSEN = {"cluster": ".*", "node": "n2", "namespace": "pay", "layer": "pod", "__rate_interval": "10s"}
PATIENCE_SECONDS = 90


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "netmatrix-collector", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def filled(query: Query) -> str:
    text = query.expression
    for name, value in CHOSEN.items():
        text = text.replace(f"${name}", value)
    assert "$" not in re.sub(r'"[^"]*"', "", text)
    return text


async def silent(session: aiohttp.ClientSession, url: str, queries: list[str]) -> list[str]:
    """Those that have no answer now. A query that Prometheus refuses fails the test."""
    result = []
    for query in queries:
        try:
            async with session.get(f"{url}/api/v1/query", params={"query": query}) as response:
                answer: dict[str, Any] = await response.json()
        except aiohttp.ClientConnectionError:  # it has not begun to listen
            return queries
        assert answer["status"] == "success", (query, answer.get("error"))
        values = [sample["value"][1] for sample in answer["data"]["result"]]
        if not values or all(value == "NaN" for value in values):
            result.append(query)
    return result


async def answered(session: aiohttp.ClientSession, url: str, queries: list[str]) -> None:
    left = queries
    for _ in range(PATIENCE_SECONDS):
        left = await silent(session, url, left)
        if not left:
            return
        await asyncio.sleep(1)
    assert not left, "these queries have no answer"


async def test_every_query_has_an_answer_and_those_of_a_fault_have_one_during_it(tmp_path: Path) -> None:
    every = [query for one in DASHBOARDS for panel in one.panels for query in panel.queries]
    usual = [filled(query) for query in every if not query.only_in_a_fault]
    faulty = [filled(query) for query in every if query.only_in_a_fault and '"policy"' not in query.text]
    shape = Shape(nodes=4, zones=2, namespaces=("shop", "pay"))
    cluster = Cluster(shape, f"dash{os.getpid()}", PLAN)
    try:
        await cluster.up()
        async with aiohttp.ClientSession() as session, prometheus(tmp_path, cluster.api_url.removeprefix("http://")) as url:
            await Watch(cluster.api_url, session).ready(PATIENCE_SECONDS)
            await answered(session, url, usual)
            await cluster.apply(Loss(node="n2", direction="in", percent=40.0))
            told = [query for query in faulty if "refused" not in query and "local" not in query]
            await answered(session, url, told)
    finally:
        await cluster.down()

import asyncio

import pytest

from lab.cluster import Cluster
from lab.doorway import Doorway
from lab.roles import BACKEND_PORT, Role
from wire.path import Family

pytestmark = pytest.mark.lab


async def _get(port: int) -> bytes:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        content = await reader.read()
        writer.close()
        await writer.wait_closed()
        return content


@pytest.mark.parametrize("family", list(Family))
async def test_the_doorway_leads_inside(grounds: Cluster, family: Family) -> None:
    pod = next(pod for pod in grounds.topology.pods if pod.role is Role.BACKEND)
    doorway = Doorway(pod.netns, (pod.addresses[family], BACKEND_PORT))
    await doorway.open()
    try:
        assert (await _get(doorway.port)).startswith(b"HTTP/1.1 200 OK")
    finally:
        await doorway.close()


async def test_where_nothing_listens_the_caller_is_cut_off_and_the_next_one_served(grounds: Cluster) -> None:
    pod = next(pod for pod in grounds.topology.pods if pod.role is Role.BACKEND)
    doorway = Doorway(pod.netns, (pod.addresses[Family.IPV4], 1))
    await doorway.open()
    try:
        for _ in range(3):
            assert await _get(doorway.port) == b""
    finally:
        await doorway.close()

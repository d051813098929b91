import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agent.export import MAX_CONNECTIONS, Figure, Pages, exposition
from tests.agent.ports import free_port


@pytest.fixture
async def pages() -> AsyncIterator[tuple[str, dict[str, bool]]]:
    state = {"alive": True, "ready": False}
    figures = (
        Figure(
            "probes", "Probes.", lambda: {("icmp", "received"): 3.0, ("udp", "timeout"): 1.0}, ("kind", "outcome"), counter=True
        ),
        Figure("buffer_spans", "Spans.", lambda: {(): 2.0}),
    )
    served = Pages(figures, free_port(), alive=lambda: state["alive"], ready=lambda: None if state["ready"] else "no plan yet")
    served.open()
    yield f"http://127.0.0.1:{served.port}", state
    served.close()
    await asyncio.sleep(0)


async def get(url: str, method: str = "GET") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        return response.status, await response.text()


async def test_metrics_are_prometheus_text_with_the_prefix_of_the_agent(pages: tuple[str, dict[str, bool]]) -> None:
    status, text = await get(f"{pages[0]}/metrics")
    assert status == 200
    samples = {
        (s.name, tuple(sorted(s.labels.items()))): s.value for f in text_string_to_metric_families(text) for s in f.samples
    }
    assert samples == {
        ("netmatrix_agent_probes_total", (("kind", "icmp"), ("outcome", "received"))): 3.0,
        ("netmatrix_agent_probes_total", (("kind", "udp"), ("outcome", "timeout"))): 1.0,
        ("netmatrix_agent_buffer_spans", ()): 2.0,
    }


@given(word=st.text(max_size=8), value=st.floats(allow_nan=False) | st.integers(0, 2**53))
def test_whatever_a_label_holds_a_parser_reads_it_back(word: str, value: float) -> None:
    text = exposition((Figure("odd", "Odd.", lambda: {(word, "x"): value}, ("first", "second")),))
    ((sample,),) = (family.samples for family in text_string_to_metric_families(text))
    assert (sample.name, sample.labels, sample.value) == ("netmatrix_agent_odd", {"first": word, "second": "x"}, value)


async def test_health_is_the_event_loop_and_readiness_the_first_plan(pages: tuple[str, dict[str, bool]]) -> None:
    url, state = pages
    assert await get(f"{url}/healthz") == (200, "ok\n")
    assert await get(f"{url}/readyz") == (503, "no plan yet\n")
    state["ready"], state["alive"] = True, False
    assert (await get(f"{url}/readyz"))[0] == 200
    assert (await get(f"{url}/healthz"))[0] == 503


@pytest.mark.parametrize(
    ("method", "page"), [("POST", "/metrics"), ("DELETE", "/healthz"), ("GET", "/"), ("GET", "/../etc/passwd")]
)
async def test_anything_else_is_refused(pages: tuple[str, dict[str, bool]], method: str, page: str) -> None:
    assert (await get(pages[0] + page, method))[0] in {404, 405}


async def test_survive_52_a_crowd_of_silent_connections_keeps_no_probe_out(pages: tuple[str, dict[str, bool]]) -> None:
    port = int(pages[0].rpartition(":")[2])
    crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * MAX_CONNECTIONS)]
    for _, writer in crowd:
        writer.write(b"G")
    await asyncio.sleep(0.05)
    assert await get(f"{pages[0]}/healthz") == (200, "ok\n")
    async with asyncio.timeout(60):
        ended = [await reader.read() for reader, _ in crowd[:MAX_CONNECTIONS]]
    assert ended == [b""] * MAX_CONNECTIONS
    for _, writer in crowd:
        writer.close()

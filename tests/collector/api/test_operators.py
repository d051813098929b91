import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from collector.api.asking import AT_ONCE
from collector.api.guard import HEADERS, is_own_host, json_response
from collector.api.operators import operator_app
from collector.export.exposition import exposition
from collector.matrix.slices import Slices
from collector.sessions import Sessions
from collector.verdict.judgement import Judgement
from tests.collector.small_cluster import SECOND, SNAPSHOT, composed, matrix_of, path_to, report_of, window
from wire.plan import GroupKey
from wire.report import Health

NOW = 100 * SECOND
SECRET = b"very-secret-key!"


class Collector:
    """The real application over a matrix with something in it, on a loopback port."""

    def __init__(self) -> None:
        self.matrix = matrix_of()
        udp = path_to(self.matrix, "n1", "n3").id
        report = report_of("n1", [window(udp, [60_000] * 3, late=1)])
        self.matrix.apply(report, arrived_ns=NOW, counted=True)
        self.sessions = Sessions(instance=1, silent_after_ns=3 * SECOND)
        self.sessions.replan(SNAPSHOT)
        self.sessions.record(report, now_ns=NOW)
        self.plans = composed()
        self.clock = SimpleNamespace(now=NOW, ready=True)
        self.rendered = 0
        self.refused: list[str] = []

    def metrics(self, now_ns: int) -> Slices[bytes]:
        self.rendered += 1
        yield
        return exposition(self.matrix, self.sessions, self.plans, now_ns=now_ns, max_series=10_000)

    def app(self, **more: Any) -> web.Application:
        return operator_app(
            matrix=self.matrix,
            sessions=self.sessions,
            plans=lambda: self.plans,
            metrics=self.metrics,
            now_ns=lambda: self.clock.now,
            ready=lambda: self.clock.ready,
            hosts=["netmatrix.example.test"],
            refused=self.refused.append,
            **more,
        )


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
async def server(collector: Collector) -> AsyncIterator[TestServer]:
    server = TestServer(collector.app())
    async with server:
        yield server


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.make_url("/")) as session:
        yield session


async def get(client: ClientSession, url: str, *, status: int = 200, **headers: str) -> Any:
    async with client.get(url, headers=headers) as response:
        assert response.status == status
        assert response.content_type == "application/json"
        return await response.json()


async def raw(server: TestServer, request: bytes) -> bytes:
    """What comes back for bytes that no well-meaning client would send."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request)
    async with asyncio.timeout(60):
        try:
            return await reader.read(65536)
        except ConnectionError:
            return b""
        finally:
            writer.close()


async def test_the_matrix_in_cells_in_groups_and_in_totals(client: ClientSession) -> None:
    answer = await get(client, "/api/v1/matrix?layer=pod&kind=udp&from=n1&to=n3")
    assert (answer["version"], answer["span_seconds"], len(answer["cells"])) == (1, 60, 1)
    assert (answer["cells"][0]["loss"], answer["cells"][0]["late"]) == (0.25, 1)
    group = await get(client, "/api/v1/matrix?by=zone&layer=pod")
    assert (group["by"], group["rows"], group["columns"]) == ("zone", ["z1", "z2"], ["z1", "z2"])
    assert {(cell["from"], cell["to"]): cell["state"] for cell in group["cells"]}["z1", "z2"] == "measured"
    assert (await get(client, "/api/v1/matrix?by=service"))["columns"] == ["shop/cart"]
    totals = await get(client, "/api/v1/matrix?totals=true")
    assert totals["span_seconds"] is None
    assert sum(cell["sent"] for cell in totals["cells"]) == 4


async def test_a_pair_the_worst_and_the_agents(client: ClientSession) -> None:
    pair = await get(client, "/api/v1/pair?from=n1&to=n3")
    assert [cell["from"]["node"] for cell in pair["cells"]] == ["n1", "n1", "n3", "n3"]
    assert len((await get(client, "/api/v1/worst?k=1"))["cells"]) == 1
    agents = {agent["vantage"]: agent for agent in (await get(client, "/api/v1/agents"))["agents"]}
    assert (agents["n1"]["state"], agents["n1"]["age_seconds"]) == ("reporting", 0)
    assert set(agents["n1"]["health"]) == set(Health.__struct_fields__)
    assert (agents["n2"]["state"], agents["n2"]["health"]) == ("never", None)


async def test_the_plan_as_a_whole_and_of_one_vantage(client: ClientSession) -> None:
    plan = await get(client, "/api/v1/plan")
    assert (plan["instance"], plan["generation"], plan["stretched"]) == (1, 1, 1.0)
    assert plan["vantages"]["n1"]["paths"] == 22
    one = await get(client, "/api/v1/plan?vantage=n1")
    assert {path["interval_ms"] for path in one["paths"]} == {10_000, 20_000, 30_000, 60_000, 300_000}
    assert len({path["path"] for path in one["paths"]}) == 22
    assert "error" in await get(client, "/api/v1/plan?vantage=nobody", status=404)


async def test_survive_62_no_secret_is_behind_the_port(collector: Collector, client: ClientSession) -> None:
    collector.plans = composed((GroupKey(7, SECRET),))
    for url in ("/metrics", "/api/v1/plan", "/api/v1/plan?vantage=n1", "/api/v1/matrix", "/api/v1/agents"):
        async with client.get(url) as response:
            body = await response.text()
            assert SECRET.decode() not in body
            assert SECRET.hex() not in body
            assert '"key' not in body


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("/api/v1/matrix?colour=red", "unknown parameter; allowed are by, span"),
        ("/api/v1/matrix?by=colour", "by must be one of vantage, node"),
        ("/api/v1/matrix?span=2h", "span must be a duration of up to 5m"),
        ("/api/v1/pair?from=n1", "from and to are needed"),
        ("/api/v1/worst?k=0", "k must be a number from 1 to 1000"),
        ("/api/v1/worst?measure=mood", "measure must be one of loss, p99"),
        ("/api/v1/agents?x=1", "no parameter is allowed here"),
    ],
)
async def test_a_question_that_cannot_be_answered_gets_one_sentence(client: ClientSession, url: str, sentence: str) -> None:
    assert (await get(client, url, status=400))["error"].startswith(sentence)


async def test_survive_34_many_scrapers_within_a_second_cost_one_rendering(collector: Collector, client: ClientSession) -> None:
    bodies = set()
    for encoding in ("identity", "gzip", "identity", "gzip"):
        async with client.get("/metrics", headers={"Accept-Encoding": encoding}) as response:
            bodies.add(await response.read())
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert (len(bodies), collector.rendered) == (1, 1)
    collector.clock.now += SECOND
    async with client.get("/metrics") as response:
        assert b"netmatrix_probes_sent_total" in await response.read()
    assert collector.rendered == 2


async def test_a_gzipped_scrape_is_what_prometheus_unpacks(server: TestServer) -> None:
    answer = await raw(
        server, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert b"# TYPE netmatrix_cells gauge" in gzip.decompress(body)


async def test_health_and_readiness_are_two_things(collector: Collector, client: ClientSession) -> None:
    collector.clock.ready = False
    async with client.get("/healthz") as response:
        assert response.status == 200
    async with client.get("/readyz") as response:
        assert response.status == 503


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_survive_61_other_methods_are_refused_and_never_a_label(
    collector: Collector, client: ClientSession, method: str
) -> None:
    async with client.request(method, "/api/v1/matrix") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"
    assert collector.refused == ["method"]


async def test_head_has_the_headers_and_no_body(client: ClientSession) -> None:
    async with client.head("/api/v1/agents") as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /../../etc/passwd HTTP/1.1",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
        b"GET /api/v1/../../etc/passwd HTTP/1.1",
        b"GET //etc/passwd HTTP/1.1",
        b"GET /metrics/%00 HTTP/1.1",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1",
        b"GET /api/v1/matrix?from=" + b"a" * 6000 + b" HTTP/1.1",
        b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 100_000,
        b"GET /metrics HTTP/1.1" + b"".join(b"\r\nX-%d: 1" % i for i in range(10_000)),
        b"GET /metrics HTTP/1.1\r\nContent-Length: 5",
        b"GET /metrics HTTP/1.1\r\nHost: localhost",
        b"NOSUCHMETHOD /metrics HTTP/1.1",
        b"\x00\x01\x02 garbage",
        b"GET http://evil.example/metrics HTTP/1.1",
    ],
    ids=[
        "dots",
        "encoded",
        "inside",
        "slashes",
        "null",
        "long",
        "longish",
        "header",
        "headers",
        "body",
        "hosts",
        "method",
        "noise",
        "absolute",
    ],
)
async def test_survive_61_hostile_requests_get_a_4xx_and_the_next_one_an_answer(
    server: TestServer, client: ClientSession, request_line: bytes
) -> None:
    answer = await raw(server, request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\nhello")
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b"root:" not in answer
    async with client.get("/healthz") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "collector.ns.svc.evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
async def test_survive_60_a_foreign_name_that_leads_here_is_refused(
    collector: Collector, client: ClientSession, host: str
) -> None:
    assert "error" in await get(client, "/api/v1/matrix", status=421, Host=host)
    assert collector.refused == ["host"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8080",
        "LOCALHOST",
        "127.0.0.1:8080",
        "[::1]:8080",
        "10.96.0.7",
        "netmatrix-collector:8080",
        "collector.netmatrix.svc",
        "collector.netmatrix.svc.cluster.local.",
        "netmatrix.example.test",
    ],
)
async def test_survive_60_own_names_are_answered(client: ClientSession, host: str) -> None:
    async with client.get("/healthz", headers={"Host": host}) as response:
        assert response.status == 200


def test_survive_60_noise_is_not_a_name_of_ours() -> None:
    for host in (
        "[::1",
        "::1",
        "a b",
        "localhost:",
        "localhost:999999",
        "a/b",
        "-a",
        "user@localhost",
        "[evil.example]",
        "a" * 64,
    ):
        assert not is_own_host(host), host


@pytest.mark.parametrize("url", ["/api/v1/matrix", "/metrics", "/healthz", "/nothing", "/api/v1/matrix?x=1"])
async def test_every_answer_says_what_a_browser_may_do_with_it(client: ClientSession, url: str) -> None:
    async with client.get(url) as response:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_survive_59_what_was_sent_is_not_sent_back(client: ClientSession) -> None:
    for url in ("/<script>alert(1)</script>", "/api/v1/matrix?<script>=1", "/api/v1/matrix?from=%3Cscript%3E%0a%1b[31m"):
        async with client.get(url) as response:
            assert 400 <= response.status < 500
            body = await response.text()
            assert "script" not in body
            assert json.loads(body)["error"].isprintable()


async def test_survive_34_pages_that_take_long_are_made_once_for_all_who_ask_at_once(collector: Collector) -> None:
    made = 0

    def standing(_now_ns: int) -> dict[str, Any]:
        nonlocal made
        made += 1
        collector.clock.now += SECOND // 10
        return {"version": 1, "made": made}

    async with TestServer(collector.app(standing=standing)) as server, ClientSession(server.make_url("/")) as client:
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(get(client, "/api/v1/self")) for _ in range(20)]
        assert {one.result()["made"] for one in asking} == {1}
        collector.clock.now += SECOND
        assert (await get(client, "/api/v1/self"))["made"] == 2


async def test_survive_34_short_pages_wait_for_no_long_ones(collector: Collector) -> None:
    begun, released = asyncio.Semaphore(0), asyncio.Event()

    async def long(_: web.Request) -> web.Response:
        begun.release()
        await released.wait()
        return json_response({})

    async def short(_: web.Request) -> web.Response:
        return json_response({"short": True})

    verdicts = SimpleNamespace(judgement=Judgement, pages={"why": long, "verdicts": long, "incidents": short})
    async with (
        TestServer(collector.app(verdicts=verdicts)) as server,
        ClientSession(server.make_url("/")) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(AT_ONCE):
            tasks.create_task(get(client, f"/api/v1/why?n={number}"))
            tasks.create_task(get(client, f"/api/v1/verdicts?n={number}"))
        async with asyncio.timeout(30):
            for _ in range(AT_ONCE):
                await begun.acquire()
            assert (await get(client, "/api/v1/incidents"))["short"]
            await get(client, "/api/v1/self")
        released.set()

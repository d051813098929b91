"""Names that do not exist are said, and what exists is offered."""

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from msgspec import structs

from collector.api.histories import add_history
from collector.discovery.snapshot import Node
from tests.collector.api.acting import Collector
from tests.collector.small_cluster import SNAPSHOT

PAGES = ("matrix", "pair", "worst", "picture", "history")


@pytest.fixture
def collector(tmp_path_factory: pytest.TempPathFactory) -> Collector:
    return Collector(tmp_path_factory.mktemp("keys") / "none")


def served(collector: Collector) -> web.Application:
    app = collector.app()
    add_history(app, None)
    return app


async def asked(collector: Collector, query: str) -> tuple[int, dict[str, object]]:
    async with (
        TestServer(served(collector)) as server,
        ClientSession(server.make_url("/")) as client,
        client.get(f"/api/v1/{query}") as answer,
    ):
        return answer.status, await answer.json(content_type=None) if answer.content_type == "application/json" else {}


@pytest.mark.parametrize("page", PAGES)
async def test_a_name_that_does_not_exist_is_404_and_names_that_look_alike_are_offered(collector: Collector, page: str) -> None:
    status, answer = await asked(collector, f"{page}?from=n1&to=n99")
    assert status == 404
    assert str(answer["error"]).startswith("to: nothing is called that; there is n")
    assert {"n1", "n2", "n3"} <= set(answer["exists"])  # type: ignore[call-overload]
    assert collector.refused == {"question": 1}


@pytest.mark.parametrize(("name", "offered"), [("zone/z9", "zone/z1"), ("namespace/netmatrx", "namespace/netmatrix")])
async def test_of_zones_and_namespaces_others_of_the_same_sort_are_offered(
    collector: Collector, name: str, offered: str
) -> None:
    status, answer = await asked(collector, f"matrix?from={name}")
    assert status == 404
    assert offered in answer["exists"]  # type: ignore[operator]
    assert all(str(one).startswith(name.partition("/")[0]) for one in answer["exists"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["n1", "agent-n2", "netmatrix/agent-n2", "pod/netmatrix/agent-n2", "zone/z1", "namespace/netmatrix"]
)
@pytest.mark.parametrize("page", PAGES[:-1])
async def test_every_way_to_name_what_exists_is_known(collector: Collector, page: str, name: str) -> None:
    assert (await asked(collector, f"{page}?from={name}&to={name}"))[0] == 200


@pytest.mark.parametrize("name", ["n1", "zone/z1", "namespace/netmatrix"])
async def test_what_history_is_kept_of_is_known_to_it(collector: Collector, name: str) -> None:
    assert (await asked(collector, f"history?from={name}&to={name}"))[0] == 200


async def test_what_exists_and_has_no_paths_has_an_empty_answer_as_soon_as_a_snapshot_has_it(
    collector: Collector,
) -> None:
    async with TestServer(served(collector)) as server, ClientSession(server.make_url("/")) as client:
        async with client.get("/api/v1/pair?from=n1&to=n99") as answer:
            assert answer.status == 404
        collector.matrix.exclude(structs.replace(SNAPSHOT, nodes=(*SNAPSHOT.nodes, Node("n99", "z1"))))
        async with client.get("/api/v1/pair?from=n1&to=n99") as answer:
            assert (answer.status, (await answer.json())["cells"]) == (200, [])

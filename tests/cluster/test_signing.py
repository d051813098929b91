"""Who may read where that takes a token, by the word of a real API server, of a collector with its own rights."""

from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from collector.api.signing import HEADER, Readers
from collector.discovery.cluster.client import Api
from collector.identity import operators
from collector.identity.operators import OperatorReviews
from tests.cluster.agents_pods import AGENT, namespace_of_agents, pod_on
from tests.cluster.granted import collector_of
from tests.cluster.kubelet import node, path_of
from tests.cluster.plane import Plane
from tests.cluster.test_actions import OPERATOR, may
from tests.cluster.tokens import AUDIENCE, token, token_for_pod
from tests.collector.api.acting import Collector

SPACE = "signing"
READER, PROBER = OPERATOR, "prober"
NODE = "signing-agent-1"
OF_OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def space(plane: Plane) -> Iterator[str]:
    """A namespace with an agent, an account that may read, and one that may have paths probed and no more."""
    namespace_of_agents(plane, SPACE, AGENT, READER)
    plane.api.apply(f"/api/v1/namespaces/{SPACE}/serviceaccounts/{PROBER}", {"apiVersion": "v1", "kind": "ServiceAccount"})
    rules = {READER: ("matrices", "get"), PROBER: ("probes", "create")}
    for account, (resource, verb) in rules.items():
        rule = {"apiGroups": ["netmatrix.io"], "resources": [resource], "verbs": [verb]}
        may(plane, f"signing-{account}", [rule], {"kind": "ServiceAccount", "name": account, "namespace": SPACE}, space=SPACE)
    plane.api.create("/api/v1/nodes", node(NODE, ["192.0.2.79"]))
    yield SPACE
    for pod in plane.api.items(f"/api/v1/namespaces/{SPACE}/pods"):
        plane.api.delete(path_of(pod), grace=0)
    plane.api.delete(f"/api/v1/nodes/{NODE}")


@pytest.fixture
async def client(
    plane: Plane, space: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ClientSession]:
    """Of the operator port of a collector where reading takes a token."""
    monkeypatch.setattr(operators, "REVIEW_SECONDS", 60.0)  # of an API server on a machine that does much else
    monkeypatch.setattr(operators, "REVIEWS_A_SECOND", 1000)
    api = Api(collector_of(plane, space))
    permission = OperatorReviews(api, namespace=space)
    collector = Collector(tmp_path_factory.mktemp("keys") / "none")
    collector.actions._permission, collector.actions._reads = permission, True
    collector.actions._body_seconds = 60.0
    readers = Readers(permission, refused=lambda word: collector.refused.update([word]))
    app = collector.app(sign_in="all", readers=readers, cluster=True)
    async with TestServer(app) as server, ClientSession(server.make_url("/")) as session:
        yield session
    await api.close()


async def read(client: ClientSession, token: str) -> tuple[int, str]:
    async with client.get("/api/v1/matrix", headers={HEADER: token}) as answer:
        return answer.status, (await answer.json()).get("error", "")


async def signed_in(client: ClientSession, token: str) -> tuple[int, str]:
    async with client.post("/api/v1/actions/signin", json={"token": token}, headers=OF_OUR_PAGE) as answer:
        said = await answer.json()
        return answer.status, said.get("user") or said["error"]


async def test_survive_47_whoever_may_read_signs_in_and_reads_and_nobody_else_does(plane: Plane, client: ClientSession) -> None:
    agent = token_for_pod(plane.api, pod_on(plane, SPACE, "agent", NODE))
    reader = token(plane.api, SPACE, READER, audience=AUDIENCE)
    prober = token(plane.api, SPACE, PROBER, audience=AUDIENCE)
    for_the_api_server = token(plane.api, SPACE, READER)
    not_permitted = 403, "this is not permitted to whoever has the token"
    assert await read(client, reader) == (200, "")
    assert await signed_in(client, reader) == (200, f"system:serviceaccount:{SPACE}:{READER}")
    for other in (agent, prober):
        assert await read(client, other) == not_permitted
        assert await signed_in(client, other) == not_permitted
    assert await read(client, for_the_api_server) == (401, "the token is for another audience")
    assert await read(client, "garbage") == (401, "the token is malformed")
    assert await read(client, f"{reader[:-4]}AAAA") == (401, "the token is not known")


async def test_survive_13_without_the_api_server_whoever_is_in_stays_for_a_minute_and_nobody_else_comes(
    plane: Plane, client: ClientSession
) -> None:
    first, second = (token(plane.api, SPACE, READER, audience=AUDIENCE, seconds=seconds) for seconds in (600, 1200))
    assert await read(client, first) == (200, "")
    with plane.without_api_server():
        assert await read(client, first) == (200, "")
        assert await read(client, second) == (503, "tokens cannot be reviewed now")

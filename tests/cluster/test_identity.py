"""Tokens that a real API server made, and what it says of them: who may read a plan and write a row, and who asks how often."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from collector.admission import Refusal, RefusedError
from collector.discovery.cluster.client import Api
from collector.discovery.snapshot import Vantage
from collector.identity import reviews
from collector.identity.reviews import LEAST_REVIEWS_A_SECOND, TokenReviews
from tests.cluster.agents_pods import AGENT, namespace_of_agents, pod_on, vantage_of
from tests.cluster.api import Object
from tests.cluster.granted import collector_of
from tests.cluster.kubelet import node, path_of
from tests.cluster.plane import Plane
from tests.cluster.tokens import signed_again, token, token_for_pod

SPACE = "identity"
NODES = ("identity-1", "identity-2")


@pytest.fixture
def pods(plane: Plane) -> Iterator[tuple[Object, Object]]:
    """Pods of agents on two nodes; both go with the test."""
    namespace_of_agents(plane, SPACE, AGENT, "somebody")
    for number, name in enumerate(NODES, 1):
        plane.api.create("/api/v1/nodes", node(name, [f"192.0.2.{number}"]))
    one, two = (pod_on(plane, SPACE, f"agent-{name}", name) for name in NODES)
    yield one, two
    for pod in plane.api.items(f"/api/v1/namespaces/{SPACE}/pods"):
        plane.api.delete(path_of(pod), grace=0)
    for name in NODES:
        plane.api.delete(f"/api/v1/nodes/{name}")


@dataclass
class Admitting:
    """An admission that asks the API server with the collector's rights."""

    api: Api
    counts: Counter[str] = field(default_factory=Counter)
    late: float = 0.0
    """How far its wall clock is ahead."""
    later: float = 0.0
    """The same of its other clock, which never goes back."""

    def __post_init__(self) -> None:
        self.reviews = TokenReviews(
            self.api,
            count=lambda word: self.counts.update([word]),
            now=lambda: time.time() + self.late,
            clock=lambda: time.monotonic() + self.later,
        )

    def install(self, *vantages: Vantage) -> None:
        self.reviews.install(vantages)

    async def ask(self, token: str) -> str:
        try:
            return await self.reviews.vantage_of(f"Bearer {token}", "")
        except RefusedError as error:
            return error.reason


@pytest.fixture
async def admitting(plane: Plane, pods: tuple[Object, Object], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Admitting]:
    monkeypatch.setattr(reviews, "REVIEW_SECONDS", 60.0)  # of an API server on a machine that does much else
    api = Api(collector_of(plane, SPACE))
    one = Admitting(api)
    one.install(*map(vantage_of, pods))
    yield one
    await api.close()


async def test_survive_47_each_token_gets_what_it_deserves(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting
) -> None:
    one, two = pods
    other = pod_on(plane, SPACE, "other", NODES[0], account="somebody")
    stranger = pod_on(plane, SPACE, "stranger", NODES[0])
    admitting.install(vantage_of(one), vantage_of(two), vantage_of(other))
    good = token_for_pod(plane.api, one)
    plane_key = plane.credentials.signing_key
    strange_key = ec.generate_private_key(ec.SECP256R1())
    verdicts = {
        "its own": (good, NODES[0]),
        "another agent's own": (token_for_pod(plane.api, two), NODES[1]),
        "for another audience": (token_for_pod(plane.api, one, audience="elsewhere"), Refusal.OTHER_AUDIENCE),
        "for the API server": (token(plane.api, SPACE, AGENT), Refusal.OTHER_AUDIENCE),
        "of no pod": (token(plane.api, SPACE, AGENT, audience="netmatrix-collector"), Refusal.UNBOUND_TOKEN),
        "of another ServiceAccount": (token_for_pod(plane.api, other), Refusal.OTHER_ACCOUNT),
        "of a pod that is no agent": (token_for_pod(plane.api, stranger), Refusal.UNKNOWN_POD),
        "expired": (signed_again(good, plane_key, exp=int(time.time()) - 3600), Refusal.EXPIRED_TOKEN),
        "expired less than a minute ago": (signed_again(good, plane_key, exp=int(time.time()) - 30), NODES[0]),
        "signed by somebody else": (signed_again(good, strange_key), Refusal.UNKNOWN_TOKEN),
        "torn": (good[:-9], Refusal.UNKNOWN_TOKEN),
        "garbage": ("garbage", Refusal.MALFORMED_TOKEN),
        "none": ("", Refusal.MALFORMED_TOKEN),
        "a megabyte": ("A" * 1_000_000, Refusal.MALFORMED_TOKEN),
    }
    assert {name: await admitting.ask(one) for name, (one, _) in verdicts.items()} == {
        name: verdict for name, (_, verdict) in verdicts.items()
    }
    assert admitting.counts == {"valid": 4, "refused": 2}, "the others cost no review"


async def test_survive_48_a_token_of_a_pod_on_another_node_than_discovery_says_is_refused(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting
) -> None:
    admitting.install(vantage_of(pods[0], node=NODES[1]))
    assert await admitting.ask(token_for_pod(plane.api, pods[0])) == Refusal.OTHER_NODE


async def test_a_pod_that_is_deleted_or_replaced_is_out_at_once(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting
) -> None:
    first = token_for_pod(plane.api, pods[0])
    assert await admitting.ask(first) == NODES[0]
    plane.api.delete(path_of(pods[0]), grace=0)
    replacement = pod_on(plane, SPACE, pods[0]["metadata"]["name"], NODES[0])
    assert await admitting.ask(first) == NODES[0], "discovery has not said so yet"
    admitting.install(vantage_of(replacement))
    assert await admitting.ask(first) == Refusal.UNKNOWN_POD
    assert await admitting.ask(token_for_pod(plane.api, replacement)) == NODES[0]


async def test_what_discovery_has_not_seen_yet_the_next_review_says(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting
) -> None:
    first = token_for_pod(plane.api, pods[0])
    assert await admitting.ask(first) == NODES[0]
    plane.api.delete(path_of(pods[0]), grace=0)
    async with asyncio.timeout(60):
        while await admitting.ask(first) == NODES[0]:  # the API server thinks so for ten seconds more
            admitting.late = 301.0 - admitting.late
            admitting.later += 10.0
            await asyncio.sleep(0.5)
    assert await admitting.ask(first) == Refusal.UNKNOWN_TOKEN


async def test_survive_53_random_tokens_cost_no_more_reviews_than_the_rate(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting
) -> None:
    good = token_for_pod(plane.api, pods[0])
    head, payload, signature = good.split(".")
    forged = [f"{head}.{payload}.{number:04d}{signature[4:]}" for number in range(10_000)]
    before, began = admitting.api.requests, time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(admitting.ask(one)) for one in forged]
    seconds = time.monotonic() - began
    assert admitting.api.requests - before <= LEAST_REVIEWS_A_SECOND * (seconds + 1)
    # So many at once may keep this process from reading an answer in time.
    assert {one.result() for one in asking} <= {Refusal.UNKNOWN_TOKEN, Refusal.REVIEW_RATE, Refusal.REVIEW_AWAY}
    admitting.later += 60.0
    assert await admitting.ask(good) == NODES[0]


async def test_survive_13_without_the_api_server_who_was_let_in_stays(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting
) -> None:
    one, two = (token_for_pod(plane.api, pod) for pod in pods)
    assert await admitting.ask(one) == NODES[0]
    with plane.without_api_server():
        for minutes in (6, 30, 60, 90):
            admitting.late = 60.0 * minutes
            assert await admitting.ask(one) == NODES[0]
            admitting.later += 60.0
        admitting.late = 0.0
        assert await admitting.ask(two) == Refusal.REVIEW_AWAY
    admitting.later += 60.0
    assert await admitting.ask(two) == NODES[1]
    assert admitting.counts["away"]


async def test_survive_13_an_api_server_that_says_nothing_is_away(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (token_for_pod(plane.api, pod) for pod in pods)
    assert await admitting.ask(one) == NODES[0]
    with plane.paused_api_server(), monkeypatch.context() as impatient:
        impatient.setattr(reviews, "REVIEW_SECONDS", 1.0)
        admitting.late = 301.0
        assert await admitting.ask(two) == Refusal.REVIEW_AWAY
        assert await admitting.ask(one) == NODES[0]
    admitting.late, admitting.later = 0.0, 60.0
    assert await admitting.ask(two) == NODES[1]


async def test_a_collector_without_the_right_to_review_lets_nobody_new_in_and_says_why(
    plane: Plane, pods: tuple[Object, Object], admitting: Admitting
) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/collector-of-{SPACE}-cluster"
    good = token_for_pod(plane.api, pods[0])
    plane.api.delete(path)
    try:
        assert await admitting.ask(good) == Refusal.REVIEW_AWAY
    finally:
        collector_of(plane, SPACE)
    admitting.later += 60.0
    assert await admitting.ask(good) == NODES[0]

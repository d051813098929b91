"""Tokens and their reviews, with the API server's part played; tests/cluster asks the real one the same questions."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from collector.admission import MAX_TOKEN, Refusal, RefusedError
from collector.discovery.cluster.client import Answer, ApiAwayError
from collector.discovery.snapshot import Vantage
from collector.identity.passes import FRESH_SECONDS, GRACE_SECONDS
from collector.identity.reviews import AGAIN_SECONDS, AWAY_SECONDS, LEAST_REVIEWS_A_SECOND, TokenReviews
from collector.identity.turns import MOST_OF_A_SUBJECT, WAITING_SECONDS
from tests.collector.identity.tokens import NOW, VANTAGES, Reviewer, answer_of, payload_of, status_of, token_of

GOOD = token_of(payload_of())


class Clock:
    """Both clocks, which stand until they are moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def unix(self) -> float:
        return NOW + self.seconds

    def steady(self) -> float:
        return self.seconds


class Admitting:
    """A collector's admission with its clocks, its reviewer and its counts."""

    def __init__(self, answer: Callable[[str], Answer] = lambda _: answer_of(status_of())) -> None:
        self.clock = Clock()
        self.reviewer = Reviewer(answer)
        self.counts: Counter[str] = Counter()
        self.reviews = TokenReviews(
            self.reviewer, count=lambda word: self.counts.update([word]), now=self.clock.unix, clock=self.clock.steady
        )
        self.reviews.install(VANTAGES)

    async def ask(self, token: str = GOOD, remote: str = "") -> str:
        try:
            return await self.reviews.vantage_of(f"Bearer {token}", remote)
        except RefusedError as error:
            return error.reason


def away(_token: str) -> Answer:
    raise ApiAwayError("no route to it")


async def test_a_token_is_reviewed_once_and_names_its_vantage() -> None:
    admitting = Admitting()
    assert [await admitting.ask() for _ in range(50)] == ["n1"] * 50
    assert admitting.reviewer.asked == [GOOD]
    assert admitting.counts == {"valid": 1}


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", Refusal.MALFORMED_TOKEN),
        ("garbage", Refusal.MALFORMED_TOKEN),
        ("A" * 1_000_000, Refusal.MALFORMED_TOKEN),
        (GOOD + "A" * MAX_TOKEN, Refusal.MALFORMED_TOKEN),
        (token_of(payload_of(aud=["other"])), Refusal.OTHER_AUDIENCE),
        (token_of(payload_of(exp=NOW - 999)), Refusal.EXPIRED_TOKEN),
        (token_of(payload_of(bound={})), Refusal.UNBOUND_TOKEN),
        (token_of(payload_of(99)), Refusal.UNKNOWN_POD),
    ],
)
async def test_survive_53_what_claims_too_little_is_refused_without_a_review(token: str, reason: Refusal) -> None:
    admitting = Admitting()
    assert await admitting.ask(token) == reason
    assert not admitting.reviewer.asked


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"authenticated": False}, Refusal.UNKNOWN_TOKEN),
        (status_of(account="netmatrix:default"), Refusal.OTHER_ACCOUNT),
        (status_of(account="shop:netmatrix-agent"), Refusal.UNKNOWN_POD),
        (status_of(pod_uid="uid-9"), Refusal.UNKNOWN_POD),
        (status_of(pod_name="agent-9"), Refusal.UNKNOWN_POD),
        (status_of(node_name="n2"), Refusal.OTHER_NODE),
    ],
)
async def test_survive_47_what_the_review_does_not_confirm_is_refused(status: dict[str, Any], reason: Refusal) -> None:
    admitting = Admitting(lambda _: answer_of(status))
    assert [await admitting.ask() for _ in range(9)] == [reason] * 9
    assert len(admitting.reviewer.asked) == 1, "what was refused is not asked about again at once"


async def test_survive_48_a_token_is_its_own_pods_whatever_it_claims() -> None:
    admitting = Admitting(lambda _: answer_of(status_of(2)))
    assert await admitting.ask(token_of(payload_of(1))) == "n2"


async def test_requests_with_one_token_share_one_review() -> None:
    admitting = Admitting()
    admitting.reviewer.allowed.clear()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(admitting.ask()) for _ in range(MOST_OF_A_SUBJECT)]
        await asyncio.sleep(0.01)
        admitting.reviewer.allowed.set()
    assert {one.result() for one in asking} == {"n1"}
    assert len(admitting.reviewer.asked) == 1


async def test_a_review_that_is_given_up_is_made_by_the_next_who_waits() -> None:
    admitting = Admitting()
    admitting.reviewer.allowed.clear()
    async with asyncio.TaskGroup() as tasks:
        gone, waiting = tasks.create_task(admitting.ask()), tasks.create_task(admitting.ask())
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0.01)
        admitting.reviewer.allowed.set()
    assert waiting.result() == "n1"


async def test_survive_53_many_tokens_that_claim_a_known_pod_get_one_review_at_a_time_and_no_more_than_the_rate() -> None:
    admitting = Admitting(lambda _: answer_of({"authenticated": False}))
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(admitting.ask(token_of(payload_of(1 + n % 3, jti=n)))) for n in range(10_000)]
    seconds = time.monotonic() - began
    assert 0 < len(admitting.reviewer.asked) <= LEAST_REVIEWS_A_SECOND * (seconds + 1)
    assert admitting.reviewer.most_at_once <= len(VANTAGES)
    assert Counter(one.result() for one in asking) == {
        Refusal.UNKNOWN_TOKEN: len(admitting.reviewer.asked),
        Refusal.REVIEW_RATE: len(asking) - len(admitting.reviewer.asked),
    }


@pytest.mark.parametrize("remote", ["", "::ffff:"], ids=["IPv4", "IPv4 on a socket that takes both"])
async def test_survive_53_forged_tokens_of_a_pod_do_not_keep_it_waiting_where_it_asks_from_its_own_address(remote: str) -> None:
    """The UID of a pod is no secret."""
    admitting = Admitting(lambda token: answer_of(status_of() if token == GOOD else {"authenticated": False}))
    own = f"{remote}{VANTAGES[0].addresses[0]}"
    admitting.reviewer.allowed.clear()
    async with asyncio.TaskGroup() as tasks:
        forged = [tasks.create_task(admitting.ask(token_of(payload_of(jti=n)), "10.9.9.9")) for n in range(200)]
        await asyncio.sleep(0.1)
        assert await admitting.ask(remote="10.9.9.8") == Refusal.REVIEW_RATE, "a stranger waits with strangers"
        waiting = tasks.create_task(admitting.ask(remote=own))
        await asyncio.sleep(0.1)
        admitting.reviewer.allowed.set()
    assert waiting.result() == "n1"
    assert {one.result() for one in forged} == {Refusal.UNKNOWN_TOKEN, Refusal.REVIEW_RATE}


async def test_survive_53_who_waits_too_long_for_a_review_is_sent_away() -> None:
    admitting = Admitting()
    crowd = [
        Vantage(name=f"v{n}", node="n1", namespace="x", pod=f"p{n}", addresses=("10.0.0.1",), uid=f"uid-{n}")
        for n in range(WAITING_SECONDS * LEAST_REVIEWS_A_SECOND + 100)
    ]
    admitting.reviews.install(crowd)
    admitting.reviewer.allowed.clear()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(admitting.ask(token_of(payload_of(n)))) for n in range(len(crowd))]
        await asyncio.sleep(0.1)
        shed = sum(one.done() and one.result() == Refusal.REVIEW_RATE for one in asking)
        for one in asking:
            one.cancel()
    assert 0 < shed <= 100


async def test_survive_20_the_rate_grows_with_the_cluster() -> None:
    admitting = Admitting()
    many = [
        Vantage(name=f"v{n}", node="n1", namespace="x", pod=f"p{n}", addresses=("10.0.0.1",), uid=f"uid-{n}")
        for n in range(1, 5001)
    ]
    admitting.reviews.install(many)
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(admitting.ask(token_of(payload_of(n)))) for n in range(1, 201)]
    assert Refusal.REVIEW_RATE not in {one.result() for one in asking}


async def test_a_pod_that_is_gone_is_out_at_once_and_not_asked_about() -> None:
    admitting = Admitting()
    await admitting.ask()
    admitting.reviews.install(VANTAGES[1:])
    assert await admitting.ask() == Refusal.UNKNOWN_POD
    admitting.reviews.install(VANTAGES)
    assert await admitting.ask() == "n1"
    assert len(admitting.reviewer.asked) == 1


async def test_survive_23_a_pod_of_the_same_name_with_another_uid_is_another() -> None:
    admitting = Admitting()
    await admitting.ask()
    first = VANTAGES[0]
    admitting.reviews.install(
        [Vantage(name="n1", node="n1", namespace=first.namespace, pod=first.pod, addresses=first.addresses, uid="new")]
    )
    assert await admitting.ask() == Refusal.UNKNOWN_POD


async def test_a_token_is_reviewed_again_after_a_while_and_may_then_be_refused() -> None:
    admitting = Admitting()
    await admitting.ask()
    admitting.clock.seconds = FRESH_SECONDS
    assert await admitting.ask() == "n1"
    assert len(admitting.reviewer.asked) == 2
    admitting.reviewer.answer = lambda _: answer_of({"authenticated": False})
    admitting.clock.seconds += FRESH_SECONDS
    assert await admitting.ask() == Refusal.UNKNOWN_TOKEN


async def test_at_rest_reviews_are_spaced_however_many_tokens_are_due() -> None:
    by_token = {token_of(payload_of(n)): n for n in (1, 2, 3)}
    admitting = Admitting(lambda token: answer_of(status_of(by_token[token])))
    for _ in range(2):
        assert [await admitting.ask(token) for token in by_token] == ["n1", "n2", "n3"]
        admitting.clock.seconds += FRESH_SECONDS
    assert len(admitting.reviewer.asked) == 4, "three new ones, and one of those that are due"
    admitting.clock.seconds += AGAIN_SECONDS
    assert [await admitting.ask(token) for token in by_token] == ["n1", "n2", "n3"]
    assert len(admitting.reviewer.asked) == 5
    admitting.clock.seconds += FRESH_SECONDS
    by_token[token_of(payload_of(1, jti=2))] = 1
    assert [await admitting.ask(token) for token in reversed(by_token)] == ["n1", "n3", "n2", "n1"]
    assert len(admitting.reviewer.asked) == 6, "a new token is reviewed at once, and those that are due wait"


@pytest.mark.parametrize(
    "answer",
    [
        away,
        lambda _: Answer(429, b"{}", 1.0),
        lambda _: Answer(503, b""),
        lambda _: Answer(403, b"{}"),
        lambda _: Answer(201, b"x"),
    ],
)
async def test_survive_13_without_the_api_server_who_is_known_stays_and_others_wait(answer: Callable[[str], Answer]) -> None:
    admitting = Admitting()
    await admitting.ask()
    admitting.reviewer.answer = answer
    for seconds in (FRESH_SECONDS, 1800, 3600, 3600 + GRACE_SECONDS - 1):
        admitting.clock.seconds = seconds
        assert await admitting.ask() == "n1"
        new = token_of(payload_of(2, exp=NOW + seconds + 600))
        assert await admitting.ask(new) == Refusal.REVIEW_AWAY
    admitting.clock.seconds = 3600 + GRACE_SECONDS
    assert await admitting.ask() == Refusal.EXPIRED_TOKEN
    assert admitting.counts["away"] == len(admitting.reviewer.asked) - 1


async def test_an_expired_token_has_no_grace_while_the_api_server_is_there() -> None:
    admitting = Admitting()
    await admitting.ask()
    admitting.clock.seconds = 3601
    admitting.reviewer.answer = lambda _: answer_of({"authenticated": False})
    assert await admitting.ask() == Refusal.UNKNOWN_TOKEN


async def test_an_api_server_that_is_away_is_left_alone_for_a_while() -> None:
    admitting = Admitting(away)
    for _ in range(100):
        assert await admitting.ask() == Refusal.REVIEW_AWAY
    assert len(admitting.reviewer.asked) == 1
    admitting.clock.seconds = AWAY_SECONDS
    admitting.reviewer.answer = lambda _: answer_of(status_of())
    assert await admitting.ask() == "n1"

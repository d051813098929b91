from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.admission import MAX_TOKEN, Refusal, RefusedError
from collector.identity.claims import LEEWAY_SECONDS, claims_of
from collector.identity.reviews import AUDIENCE
from tests.collector.identity.tokens import NOW, payload_of, token_of


def reason_for(token: str) -> Refusal | None:
    try:
        claims_of(token, audience=AUDIENCE, now=NOW)
    except RefusedError as error:
        return error.reason
    return None


def test_a_bound_token_of_our_audience_is_worth_a_review() -> None:
    claims = claims_of(token_of(payload_of(2)), audience=AUDIENCE, now=NOW)
    assert (claims.pod_uid, claims.expires) == ("uid-2", NOW + 3600)
    assert reason_for(token_of(payload_of(aud=AUDIENCE))) is None, "one audience need not be a list (RFC 7519 section 4.1.3)"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": ["https://kubernetes.default.svc"]}, Refusal.OTHER_AUDIENCE),
        ({"aud": []}, Refusal.OTHER_AUDIENCE),
        ({"aud": AUDIENCE + "x"}, Refusal.OTHER_AUDIENCE),
        ({"aud": 7}, Refusal.MALFORMED_TOKEN),
        ({"exp": NOW - LEEWAY_SECONDS - 1}, Refusal.EXPIRED_TOKEN),
        ({"exp": NOW - LEEWAY_SECONDS + 1}, None),
        ({"exp": "soon"}, Refusal.MALFORMED_TOKEN),
        ({"exp": None}, Refusal.MALFORMED_TOKEN),
        ({"bound": {}}, Refusal.UNBOUND_TOKEN),
        ({"bound": {"pod": {"name": "agent-1"}}}, Refusal.UNBOUND_TOKEN),
        ({"bound": []}, Refusal.MALFORMED_TOKEN),
    ],
)
def test_survive_47_a_token_is_refused_by_what_it_claims(changes: dict[str, Any], reason: Refusal | None) -> None:
    assert reason_for(token_of(payload_of(**changes))) is reason


@pytest.mark.parametrize(
    "token",
    [
        "a.b.c",
        "..",
        "aa.bb",
        "aa.bb.cc.dd",
        token_of(payload_of()) + ".",
        token_of(payload_of()).rpartition(".")[0] + ".",
        token_of([]),
        token_of("x"),
        token_of(payload_of(), header=[]),
        token_of(payload_of(), header={"typ": "JWT"}),
        token_of(payload_of()).replace(".", "\n", 1),
        "A" * (MAX_TOKEN // 3) + "." + "W1tb" * (MAX_TOKEN // 12) + "." + "A" * (MAX_TOKEN // 3),
    ],
)
def test_what_has_another_shape_is_no_token(token: str) -> None:
    assert reason_for(token) is Refusal.MALFORMED_TOKEN


@given(st.binary(max_size=MAX_TOKEN * 3 // 4))
def test_any_payload_is_claims_or_a_reason(payload: bytes) -> None:
    middle = urlsafe_b64encode(payload).decode().rstrip("=")
    assert reason_for(f"eyJhbGciOiJSUzI1NiJ9.{middle}.c2ln") is not None


@given(st.text(max_size=200))
def test_any_text_is_claims_or_a_reason(text: str) -> None:
    assert reason_for(text) is Refusal.MALFORMED_TOKEN


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_any_claim_is_claims_or_a_reason(value: object) -> None:
    for payload in (payload_of(aud=value), payload_of(exp=value), payload_of(bound=value)):
        reason_for(token_of(payload))

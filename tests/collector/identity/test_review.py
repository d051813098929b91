import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.admission import Refusal
from collector.identity.review import Reviewed, request_of, reviewed
from collector.identity.reviews import AUDIENCE
from tests.collector.identity.tokens import answer_of, status_of


def test_a_review_asks_for_our_audience() -> None:
    assert request_of("t", AUDIENCE)["spec"] == {"token": "t", "audiences": [AUDIENCE]}


def test_who_it_is_comes_from_the_review() -> None:
    holder = reviewed(answer_of(status_of(2)).body, AUDIENCE)
    assert holder == Reviewed("netmatrix", "netmatrix-agent", "agent-2", "uid-2", "n2")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({}, Refusal.UNKNOWN_TOKEN),
        ({"authenticated": False, "error": "[invalid bearer token]"}, Refusal.UNKNOWN_TOKEN),
        (status_of() | {"authenticated": False}, Refusal.UNKNOWN_TOKEN),
        (status_of() | {"audiences": []}, Refusal.OTHER_AUDIENCE),
        (status_of() | {"audiences": ["api"]}, Refusal.OTHER_AUDIENCE),
        (status_of() | {"user": {"username": "system:node:n1", "extra": {}}}, Refusal.OTHER_ACCOUNT),
        (status_of(pod_name=""), Refusal.UNBOUND_TOKEN),
        (status_of(pod_uid=""), Refusal.UNBOUND_TOKEN),
        (status_of(node_name=""), Refusal.UNBOUND_TOKEN),
    ],
)
def test_survive_48_what_a_review_does_not_prove_is_refused(status: dict[str, Any], reason: Refusal) -> None:
    assert reviewed(answer_of(status).body, AUDIENCE) is reason


def test_two_values_of_one_extra_prove_nothing() -> None:
    status = status_of()
    status["user"]["extra"]["authentication.kubernetes.io/node-name"].append("n2")
    assert reviewed(answer_of(status).body, AUDIENCE) is Refusal.UNBOUND_TOKEN


@given(st.binary(max_size=200) | st.dictionaries(st.text(), st.text()).map(lambda one: json.dumps(one).encode()))
def test_any_other_answer_is_an_error(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        reviewed(answer, AUDIENCE)

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import proof
from agent.probes.http_exchange import Judgement, Question, accepts, judgement_of, question_of
from agent.probes.prober import Context, Probe
from wire.outcome import Outcome
from wire.path import Family, Http, Layer, Path, Target, Tcp
from wire.plan import GroupKey
from wire.window import FactName

KEY = GroupKey(epoch=3, key=b"k" * 16)
NONCE = b"12345678"
UID = "0b6cf3e2-9d5c-4b5b-8a57-1f1f2a2b3c4d"


def context(*keys: GroupKey) -> Context:
    return Context(uid="asker-uid", keys=keys, addresses=frozenset({"10.0.0.1"}))


def question(ask: Http, *, uid: str = "", address: str = "10.0.0.2", asker: Context | None = None) -> Question:
    target = Target(name="pod/shop/cart-0", peer="n2", address=address, uid=uid)
    path = Path(vantage="n1", target=target, layer=Layer.POD, family=Family.of(address), ask=ask)
    return question_of(Probe(1, path, address), asker or context(KEY), NONCE, "netmatrix/1")


def test_a_request_is_one_line_and_five_headers() -> None:
    assert question(Http(port=80, path="/a?b=c")).head == (
        b"GET /a?b=c HTTP/1.1\r\nHost: 10.0.0.2\r\nUser-Agent: netmatrix/1\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("ask", "address", "host"),
    [
        (Http(port=80), "10.0.0.2", "10.0.0.2"),
        (Http(port=8080), "10.0.0.2", "10.0.0.2:8080"),
        (Http(port=8080), "fd00::2", "[fd00::2]:8080"),
        (Http(port=80, tls=True), "fd00::2", "[fd00::2]:80"),
        (Http(port=443, tls=True, host="www.example.test"), "10.0.0.2", "www.example.test"),
        (Http(port=8443, tls=True, host="www.example.test"), "10.0.0.2", "www.example.test:8443"),
        (Http(port=80, host="www.example.test", authority="other:1"), "10.0.0.2", "other:1"),
    ],
)
def test_the_host_header_is_the_path_s_and_never_changes_the_address(ask: Http, address: str, host: str) -> None:
    assert question(ask, address=address).headers["Host"] == host


def test_a_path_of_another_kind_is_a_mistake_of_ours() -> None:
    target = Target(name="t", peer="t", address="10.0.0.2")
    path = Path(vantage="n1", target=target, layer=Layer.POD, family=Family.IPV4, ask=Tcp(port=80))
    with pytest.raises(TypeError, match="tcp"):
        question_of(Probe(1, path, "10.0.0.2"), context(), NONCE, "")


def test_survive_58_only_the_echo_of_a_colleague_is_asked_with_a_proof() -> None:
    assert question(Http(port=8620, path="/echo"), uid=UID).headers[proof.HTTP_HEADER].startswith("3.")
    for other in (
        question(Http(port=8620, path="/echo")),
        question(Http(port=8620, path="/"), uid=UID),
        question(Http(port=8620, path="/echo"), uid=UID, asker=context()),
    ):
        assert proof.HTTP_HEADER not in other.headers


def echo_judged(body: dict[str, object], *, uid: str = UID) -> Judgement:
    asked = question(Http(port=8620, path="/echo"), uid=uid)
    return judgement_of(asked, context(KEY), 200, json.dumps(body).encode())


def answered_by(uid: str) -> dict[str, object]:
    return {"source": "10.0.0.1", "uid": uid, "proof": proof.http_answer_proof(proof.Verified(KEY, NONCE, "asker-uid"), uid)}


def test_the_planned_pod_s_proof_confirms_it() -> None:
    assert echo_judged(answered_by(UID)) == Judgement(confirmed=True, facts={FactName.STATUS: "200"})


def test_another_pod_s_proof_is_the_wrong_peer_and_names_it() -> None:
    judgement = echo_judged(answered_by("other-uid"))
    assert judgement.outcome is Outcome.WRONG_PEER
    assert judgement.facts[FactName.PEER_UID] == "other-uid"


@pytest.mark.parametrize(
    "forged", [{"uid": UID}, {"uid": UID, "proof": "00" * 16}, {"uid": "other", "proof": "é"}, {"source": 7}]
)
def test_a_uid_without_its_proof_confirms_and_contradicts_nothing(forged: dict[str, object]) -> None:
    assert echo_judged(forged) == Judgement(facts={FactName.STATUS: "200"})


def test_another_source_than_ours_is_a_fact() -> None:
    assert echo_judged(answered_by(UID) | {"source": "10.9.9.9"}).facts[FactName.SOURCE] == "10.9.9.9"
    assert FactName.SOURCE not in echo_judged(answered_by(UID) | {"source": "<script>"}).facts
    assert FactName.SOURCE not in echo_judged(answered_by(UID)).facts


@pytest.mark.parametrize(
    ("expected", "status", "accepted"),
    [
        ("", 200, True),
        ("", 404, True),
        ("", 499, True),
        ("", 500, False),
        ("200,3xx", 302, True),
        ("200,3xx", 201, False),
        ("503", 503, True),
    ],
)
def test_the_expected_statuses_are_those_that_are_named(expected: str, status: int, accepted: bool) -> None:
    assert accepts(expected, status) is accepted


def test_an_unexpected_status_is_said_with_its_number() -> None:
    judgement = judgement_of(question(Http(port=80)), context(), 503, b"")
    assert judgement == Judgement(Outcome.HTTP_STATUS, facts={FactName.STATUS: "503"})


def test_a_body_without_the_text_it_should_have_is_not_the_protocol() -> None:
    asked = question(Http(port=80, body_contains="welcome"))
    assert judgement_of(asked, context(), 200, b"go away").outcome is Outcome.PROTOCOL
    assert judgement_of(asked, context(), 200, b"be welcome!").outcome is None


@settings(max_examples=40)
@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.text(max_size=5), lambda inner: st.dictionaries(st.text(max_size=6), inner)).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_no_body_whatever_it_is_confirms_a_peer(body: bytes) -> None:
    judgement = judgement_of(question(Http(port=8620, path="/echo"), uid=UID), context(KEY), 200, body)
    assert judgement.outcome is None
    assert not judgement.confirmed

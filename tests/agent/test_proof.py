"""Proofs of belonging."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent import proof
from agent.proof import Verified
from wire.plan import GroupKey

OLD, CURRENT, FOREIGN = GroupKey(1, b"a" * 16), GroupKey(2, b"b" * 16), GroupKey(2, b"c" * 16)
NONCE = b"8 random"


def test_a_request_is_verified_with_either_key_and_says_who_asked() -> None:
    for key in (OLD, CURRENT):
        header = proof.http_request_proof(key, "uid-1", NONCE, "GET", "/echo")
        assert proof.verify_http_request(header, (OLD, CURRENT), "GET", "/echo") == Verified(key, NONCE, "uid-1")


def test_a_proof_holds_only_for_its_own_method_path_key_nonce_and_uid() -> None:
    header = proof.http_request_proof(CURRENT, "uid-1", NONCE, "GET", "/echo")
    assert proof.verify_http_request(header, (CURRENT,), "HEAD", "/echo") is None
    assert proof.verify_http_request(header, (CURRENT,), "GET", "/other") is None
    assert proof.verify_http_request(header, (FOREIGN,), "GET", "/echo") is None
    assert proof.verify_http_request(header, (), "GET", "/echo") is None
    epoch, _, uid, mac = header.split(".")
    assert proof.verify_http_request(f"{epoch}.{b'8 others'.hex()}.{uid}.{mac}", (CURRENT,), "GET", "/echo") is None
    assert proof.verify_http_request(f"{epoch}.{NONCE.hex()}.{b'uid-2'.hex()}.{mac}", (CURRENT,), "GET", "/echo") is None


def test_an_answer_is_verified_only_for_the_request_and_the_uid_that_it_answers() -> None:
    given_proof = proof.http_answer_proof(Verified(CURRENT, NONCE, "asker"), "answerer")
    assert proof.verify_http_answer(given_proof, CURRENT, NONCE, "answerer")
    assert not proof.verify_http_answer(given_proof, CURRENT, NONCE, "asker")
    assert not proof.verify_http_answer(given_proof, CURRENT, b"8 others", "answerer")
    assert not proof.verify_http_answer(given_proof, FOREIGN, NONCE, "answerer")
    assert not proof.verify_http_answer("", CURRENT, NONCE, "answerer")


def test_a_request_sent_back_is_no_answer() -> None:
    mac = proof.http_request_proof(CURRENT, "x", NONCE, "", "").rpartition(".")[2]
    assert not proof.verify_http_answer(mac, CURRENT, NONCE, "x")


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,11}\.[0-9a-f]{16}\.[0-9a-f]{0,8}\.[0-9a-f]{32}")), st.text())
@settings(max_examples=100, deadline=None)
def test_any_text_is_refused_and_none_is_an_error(text: str, path: str) -> None:
    assert proof.verify_http_request(text, (OLD, CURRENT), "GET", path) is None
    assert not proof.verify_http_answer(text, CURRENT, NONCE, path)

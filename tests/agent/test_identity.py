from agent.identity import Confirmations
from agent.probes.prober import Observation
from tests.agent.plans import answer, failure, path, probe
from wire.outcome import Outcome
from wire.path import Udp

PEER = path(uid="uid-a", ask=Udp(port=8620))


def test_a_target_without_a_uid_needs_no_proof() -> None:
    assert Confirmations().confirmed(path().target, since=0)


def test_a_proof_counts_from_its_moment_on_for_every_path_to_that_address_and_uid() -> None:
    confirmations = Confirmations()
    assert not confirmations.confirmed(PEER.target, since=0)
    confirmations.take(answer(probe(PEER), confirmed=True), now=100)
    assert confirmations.confirmed(path(name="pod/other", uid="uid-a").target, since=100)
    assert not confirmations.confirmed(PEER.target, since=101)
    assert not confirmations.confirmed(path(uid="uid-b").target, since=0)
    assert not confirmations.confirmed(path(uid="uid-a", address="10.30.1.3").target, since=0)


def test_an_answer_without_proof_proves_nothing() -> None:
    confirmations = Confirmations()
    confirmations.take(answer(probe(path(uid="uid-a"))), now=100)
    assert not confirmations.confirmed(PEER.target, since=0)


def test_another_pod_at_the_address_takes_the_proof_back_at_once() -> None:
    confirmations = Confirmations()
    confirmations.take(answer(probe(PEER), confirmed=True), now=100)
    confirmations.take(failure(probe(PEER), Outcome.WRONG_PEER), now=101)
    assert not confirmations.confirmed(PEER.target, since=0)


def test_a_lost_probe_does_not_take_the_proof_back() -> None:
    confirmations = Confirmations()
    confirmations.take(answer(probe(PEER), confirmed=True), now=100)
    confirmations.take(Observation(probe(PEER), outcome=Outcome.TIMEOUT), now=101)
    assert confirmations.confirmed(PEER.target, since=100)


def test_old_proofs_are_forgotten() -> None:
    confirmations = Confirmations()
    confirmations.take(answer(probe(PEER), confirmed=True), now=100)
    confirmations.forget(before=101)
    assert not confirmations.confirmed(PEER.target, since=0)

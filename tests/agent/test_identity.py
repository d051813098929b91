from agent.identity import NEVER_NS, Proofs
from tests.agent.plans import path
from wire.path import Udp

PEER = path(uid="uid-a", ask=Udp(port=8620))


def test_a_target_without_a_uid_needs_no_proof() -> None:
    assert Proofs().of(path().target) is None


def test_all_paths_to_a_pod_at_an_address_share_one_proof_which_is_never_at_first() -> None:
    proofs = Proofs()
    proof = proofs.of(PEER.target)
    assert proof is not None
    assert proof.proved_ns == NEVER_NS
    assert proofs.of(path(name="pod/other", uid="uid-a").target) is proof
    assert proofs.of(path(uid="uid-b").target) is not proof
    assert proofs.of(path(uid="uid-a", address="10.30.1.3").target) is not proof


def test_a_proof_is_forgotten_with_the_last_path_to_its_pod() -> None:
    proofs = Proofs()
    proof = proofs.of(PEER.target)
    assert proof is not None
    proof.proved_ns = 5
    del proof
    again = proofs.of(PEER.target)
    assert again is not None
    assert again.proved_ns == NEVER_NS

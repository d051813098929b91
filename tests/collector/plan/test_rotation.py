import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.plan.hashing import hashes
from collector.plan.rotation import Rotation


@settings(max_examples=40, deadline=None)
@given(count=st.integers(2, 120), peers=st.integers(1, 40), start=st.integers(0, 10**6), salt=st.integers(0, 10**6))
def test_in_a_cycle_every_ordered_pair_is_probed_exactly_once(count: int, peers: int, start: int, salt: int) -> None:
    rotation = Rotation(hashes(f"n{salt}-{i}" for i in range(count)), peers)
    everybody = np.arange(count)
    assert rotation.cycle == -(-(count - 1) // rotation.peers)
    seen = [
        (one, int(other))
        for slot in range(start, start + rotation.cycle)
        for one, row in enumerate(rotation.of(everybody, slot))
        for other in row
    ]
    assert len(seen) == len(set(seen)) == count * (count - 1)
    assert all(one != other for one, other in seen)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 400), peers=st.integers(1, 40), slot=st.integers(0, 10**9))
def test_in_a_slot_everybody_has_as_many_peers_as_it_is_a_peer_of_and_never_more_than_asked(
    count: int, peers: int, slot: int
) -> None:
    table = Rotation(hashes(f"n{i}" for i in range(count)), peers).of(np.arange(count), slot)
    assert 1 <= table.shape[1] <= peers
    assert (np.bincount(table.ravel(), minlength=count) == table.shape[1]).all()


def test_nobody_rotates_alone_or_where_it_is_not_asked_for() -> None:
    for rotation in (Rotation(hashes(["a"]), 20), Rotation(hashes(["a", "b"]), 0), Rotation(hashes([]), 20)):
        assert rotation.cycle == 0
        assert rotation.of(np.zeros(1, np.int64), 7).shape == (1, 0)

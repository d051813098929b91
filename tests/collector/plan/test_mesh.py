from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from collector.plan.hashing import hashes
from collector.plan.mesh import static_peers

Edge = tuple[str, str]
Places = dict[str, str]


def places_of(sizes: Sequence[int], salt: int = 0) -> Places:
    """Zones by name of vertex, in the order of the names."""
    return dict(sorted((f"n{salt}-{zone}-{i}", f"z{zone}") for zone, size in enumerate(sizes) for i in range(size)))


def edges(places: Places, peers: int) -> list[Edge]:
    names = list(places)
    table = static_peers(names, list(places.values()), peers)
    return [(names[row], names[column]) for row, columns in enumerate(table.tolist()) for column in columns]


def degrees(found: list[Edge], side: int, places: Places) -> set[int]:
    counts = dict.fromkeys(places, 0)
    for edge in found:
        counts[edge[side]] += 1
    return set(counts.values())


def inside(found: list[Edge], places: Places, side: int = 0) -> dict[str, int]:
    counts = dict.fromkeys(places, 0)
    for edge in found:
        counts[edge[side]] += places[edge[0]] == places[edge[1]]
    return counts


def exact(places: Places, peers: int) -> list[Edge]:
    found = edges(places, peers)
    degree = min(peers, max(len(places) - 1, 0))
    assert len(set(found)) == len(found)
    assert all(one != other for one, other in found)
    assert degrees(found, 0, places) | degrees(found, 1, places) <= {degree}
    return found


zone_sizes = st.one_of(st.lists(st.integers(0, 60), max_size=6), st.lists(st.integers(1, 3), min_size=1, max_size=60))


@settings(max_examples=40, deadline=None)
@given(sizes=zone_sizes, peers=st.integers(1, 30), salt=st.integers(0, 10**6))
def test_everybody_has_exactly_k_peers_and_is_a_peer_of_exactly_k_whatever_the_zones(
    sizes: list[int], peers: int, salt: int
) -> None:
    exact(places_of(sizes, salt), peers)


@pytest.mark.parametrize(
    "sizes", [(22,), (21,), (20,), (2,), (1,), (7, 15), (200, 1), (30, 1, 1), (1,) * 40, (3, 3, 3, 3, 3, 3, 4)]
)
def test_degrees_are_exact_also_among_so_few_that_nearly_all_probe_all(sizes: tuple[int, ...]) -> None:
    exact(places_of(sizes), 20)


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(40, 110), min_size=2, max_size=4), salt=st.integers(0, 10**6))
def test_half_of_the_peers_are_in_the_zone_either_way_where_no_zone_is_larger_than_all_others(
    sizes: list[int], salt: int
) -> None:
    assume(2 * max(sizes) <= sum(sizes))
    places = places_of(sizes, salt)
    found = edges(places, 20)
    for side in (0, 1):
        assert set(inside(found, places, side).values()) == {10}


def test_the_other_half_is_spread_evenly_over_the_other_zones() -> None:
    places = places_of((70, 70, 70, 70))
    counts: dict[tuple[str, str], int] = {}
    for one, other in edges(places, 20):
        if places[one] != places[other]:
            counts[one, places[other]] = counts.get((one, places[other]), 0) + 1
    assert set(counts.values()) == {3, 4}


def test_with_one_zone_all_peers_are_in_it() -> None:
    places = places_of((60,))
    assert set(inside(exact(places, 20), places).values()) == {20}


def test_a_zone_that_is_too_small_for_half_of_the_peers_is_a_full_mesh() -> None:
    places = places_of((60, 60, 6))
    found = exact(places, 20)
    assert all(count == 5 for name, count in inside(found, places).items() if places[name] == "z2")


def test_from_a_zone_larger_than_all_others_as_many_edges_leave_as_can_come_in() -> None:
    places = places_of((200, 30, 30))
    found = exact(places, 20)
    leaving = sum(1 for one, other in found if places[one] == "z0" and places[other] != "z0")
    assert leaving == 60 * 10
    assert all(count == 10 for name, count in inside(found, places).items() if places[name] != "z0")


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_survive_21_a_join_or_leave_changes_edges_in_proportion_to_k_and_not_to_all(data: st.DataObject) -> None:
    """The bound of the docstring of `mesh`, for any zones and any vertex."""
    sizes = data.draw(st.lists(st.integers(20, 130), min_size=1, max_size=4))
    peers = data.draw(st.sampled_from([4, 10, 20]))
    places = places_of(sizes, data.draw(st.integers(0, 10**6)))
    gone = data.draw(st.sampled_from(list(places)))
    before = set(edges(places, peers))
    after = set(edges({name: zone for name, zone in places.items() if name != gone}, peers))
    assert len(before ^ after) <= 30 * peers


def test_survive_21_in_one_zone_a_join_changes_hardly_more_than_the_three_k_edges_that_it_must() -> None:
    places = places_of((400,))
    before = set(edges(places, 20))
    changed = [
        len(before ^ set(edges({other: zone for other, zone in places.items() if other != name}, 20)))
        for name in list(places)[:100:10]
    ]
    assert min(changed) >= 60
    assert sum(changed) / len(changed) <= 4 * 20


def test_no_split_of_the_cluster_goes_unseen() -> None:
    """By zone, and by any random half: several edges a vertex lead across."""
    places = places_of((100, 100, 100))
    found = edges(places, 20)
    for side in ({name for name in places if places[name] == "z0"}, {name for name in places if int(hashes([name])[0]) % 2}):
        across = sum(1 for one, other in found if (one in side) != (other in side))
        assert across >= min(len(side), 300 - len(side)) * 10


def test_degrees_and_halves_are_exact_among_5000() -> None:
    zones = [f"z{i % 3}" for i in range(5000)]
    table = static_peers([f"n{i:05}" for i in range(5000)], zones, 20)
    assert (np.bincount(table.ravel(), minlength=5000) == 20).all()
    assert (np.diff(np.sort(table, axis=1), axis=1) > 0).all()
    numbers = np.array([i % 3 for i in range(5000)])
    assert ((numbers[table] == numbers[:, None]).sum(axis=1) == 10).all()

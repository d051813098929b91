import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.plan.hashing import hashes
from collector.plan.shares import one_of_each_zone, sharers


def shared(item: str, zones: dict[str, int], each: int, able: set[str] | None = None) -> set[str]:
    names = sorted(zones)
    drawn = sharers(
        item,
        vantages=hashes(names),
        zones=np.array([zones[name] for name in names], np.int64),
        able=np.array([able is None or name in able for name in names], np.bool_),
        each=each,
    )
    return {names[number] for number in drawn.tolist()}


populations = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=5), st.integers(0, 3), min_size=1, max_size=80)


@settings(max_examples=40, deadline=None)
@given(zones=populations, each=st.integers(1, 5), item=st.text(max_size=5), data=st.data())
def test_of_each_zone_as_many_probe_an_item_as_asked_or_all_who_can(
    zones: dict[str, int], each: int, item: str, data: st.DataObject
) -> None:
    able = set(data.draw(st.lists(st.sampled_from(sorted(zones)), unique=True)))
    drawn = shared(item, zones, each, able)
    assert drawn <= able
    for zone in set(zones.values()):
        there = {name for name in able if zones[name] == zone}
        assert len(drawn & there) == min(each, len(there))


@settings(max_examples=40, deadline=None)
@given(zones=populations, each=st.integers(1, 5), item=st.text(max_size=5), data=st.data())
def test_a_leave_changes_an_item_only_where_it_had_it_and_gives_it_to_one_of_its_zone(
    zones: dict[str, int], each: int, item: str, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(zones)))
    before = shared(item, zones, each)
    after = shared(item, {name: zone for name, zone in zones.items() if name != gone}, each)
    assert before - after <= {gone}
    assert len(after - before) <= (gone in before)
    assert all(zones[name] == zones[gone] for name in after - before)


def test_vantages_of_equal_weight_are_taken_in_the_order_of_their_names() -> None:
    same = np.zeros(6, np.uint64)
    drawn = sharers("a", vantages=same, zones=np.array([0, 1] * 3), able=np.ones(6, np.bool_), each=2)
    assert drawn.tolist() == [0, 1, 2, 3]


def test_items_fall_on_all_vantages_and_not_on_a_few() -> None:
    zones = {f"n{i}": i % 3 for i in range(60)}
    counts = [name for item in range(200) for name in shared(f"service/a/{item}", zones, 3)]
    assert min(counts.count(name) for name in zones) >= 10
    assert max(counts.count(name) for name in zones) <= 60


def test_of_the_peers_of_a_vantage_one_is_drawn_in_each_zone_that_has_any() -> None:
    peers = np.array([[1, 2, 3], [0, 2, 4]])
    zones = np.array([0, 1, 1, 0, 1])
    pairs = one_of_each_zone(peers, hashes=hashes("abcde"), zones=zones).tolist()
    found = [(row, int(zones[column])) for row, column in pairs]
    assert sorted(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(column in peers[row] for row, column in pairs)
    assert one_of_each_zone(np.zeros((3, 0), np.int64), hashes=hashes("abc"), zones=np.zeros(3, np.int64)).shape == (0, 2)

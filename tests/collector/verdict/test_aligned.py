"""Paths of one pass in the order of another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.verdict.aligned import NEW, Order, ordered, places_before

ROWS = st.dictionaries(st.integers(0, 5), st.sets(st.integers(0, 40), min_size=1, max_size=8), max_size=6)


def order_of(rows: dict[int, set[int]]) -> Order:
    """A path is of one source alone: its number says of which."""
    pairs = [(source, source * 1000 + one) for source, mine in rows.items() for one in sorted(mine)]
    return ordered(np.array([path for _, path in pairs], np.uint64), np.array([source for source, _ in pairs], np.int32))


@given(ROWS, ROWS)
def test_each_path_is_found_where_it_stood_and_no_other_is(before: dict[int, set[int]], after: dict[int, set[int]]) -> None:
    old, fresh = order_of(before), order_of(after)
    stood = {path: place for place, path in enumerate(old.paths.tolist())}
    assert places_before(old, fresh).tolist() == [stood.get(path, NEW) for path in fresh.paths.tolist()]


@given(ROWS)
def test_the_same_paths_are_where_they_were(rows: dict[int, set[int]]) -> None:
    order = order_of(rows)
    assert places_before(order, order).tolist() == list(range(len(order.paths)))

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.matrix.sparse import CELL, MANY, MEASURE, THROUGH, Ledger, _places
from wire.window import Measure

KEYS = st.tuples(st.integers(0, 9), st.sampled_from([1, 2, MEASURE + int(Measure.CONNECT_NS), THROUGH])).map(
    lambda pair: (pair[0] << CELL) | pair[1]
)
REPORTS = st.lists(st.lists(st.tuples(KEYS, st.integers(0, 5)), max_size=12), max_size=6)


@given(REPORTS)
def test_a_ledger_adds_up_and_of_what_counts_through_it_keeps_the_last(reports: list[list[tuple[int, int]]]) -> None:
    ledger, model = Ledger(), Counter[int]()
    for report in reports:
        for key, value in report:
            model[key] = value if key & 0xFFFF == THROUGH else model[key] + value
        ledger.add(*np.array(report, np.int64).reshape(-1, 2).T, most=100)
    cells, codes, sums = ledger.rows()
    assert dict(zip(((cells << CELL) | codes).tolist(), sums.tolist(), strict=True)) == dict(model)
    assert (cells.tolist(), ledger.dropped) == (sorted(cells.tolist()), 0)


@given(REPORTS, st.integers(0, 8))
def test_a_ledger_without_room_counts_what_it_drops_and_keeps_what_it_has(
    reports: list[list[tuple[int, int]]], most: int
) -> None:
    ledger, model, dropped = Ledger(), Counter[int](), 0
    for report in reports:
        room = sorted({key for key, _ in report} - set(model))[: most - len(model)]
        for key, value in report:
            if key in model or key in room:
                model[key] = value if key & 0xFFFF == THROUGH else model[key] + value
            else:
                dropped += 1
        ledger.add(*np.array(report, np.int64).reshape(-1, 2).T, most=most)
    assert dict(zip(ledger._keys.tolist(), ledger._values.tolist(), strict=True)) == dict(model)
    assert ledger.dropped == dropped


@given(st.sets(KEYS), st.lists(KEYS, min_size=1, max_size=5))
def test_many_keys_are_found_where_few_are(known: set[int], keys: list[int]) -> None:
    ascending, asked = np.array(sorted(known), np.int64), np.resize(np.array(keys, np.int64), MANY)
    assert _places(ascending, asked).tolist() == ascending.searchsorted(asked).tolist()


def test_a_cell_with_a_great_many_codes_is_looked_up_all_the_same() -> None:
    known, asked = np.arange(100), np.resize(np.arange(0, 200, 3), MANY)
    assert _places(known, asked).tolist() == known.searchsorted(asked).tolist()

"""Verdicts as a picture."""

import numpy as np
import pytest

from collector.matrix import picture as matrix_picture
from collector.matrix.picture import LEVEL, Code, Picture
from collector.matrix.query import TooManyError, Wanted
from collector.verdict import pictured
from collector.verdict.comparison import Comparison
from collector.verdict.explained import rows
from collector.verdict.pictured import Shade, picture
from tests.collector.verdict.compared import SHUT, Watched, into, with_policies

UNSAID = ("unspecified", "timeout")
"""What policies say nothing of, and what does not come through."""


def code(one: Picture, row: str, column: str) -> int:
    return int(one.codes[list(one.rows).index(row), list(one.columns).index(column)])


def shut() -> Comparison:
    return Watched(with_policies(SHUT)).seconds(6, into("pay"))


def leaking() -> Comparison:
    return Watched(with_policies(SHUT)).seconds(6)


def test_a_path_that_is_closed_as_it_should_be_is_told_from_one_that_is_open() -> None:
    one = picture(shut(), "namespace", "namespace", Wanted())
    assert code(one, "shop", "pay") == Code.CLOSED
    assert code(one, "pay", "shop") == LEVEL + Shade.OK


def test_a_leak_is_the_worst_that_there_is() -> None:
    assert code(picture(leaking(), "namespace", "namespace", Wanted()), "shop", "pay") == LEVEL + Shade.LEAK
    assert max(Shade) is Shade.LEAK


def test_what_is_not_proven_is_no_fault_and_no_loss() -> None:
    unproven = Watched(with_policies(SHUT)).seconds(6, into("pay", source=""))
    assert code(picture(unproven, "namespace", "namespace", Wanted()), "shop", "pay") == LEVEL + Shade.UNVERIFIABLE
    assert len(pictured.closed(unproven)) > 0


def test_a_path_that_is_closed_as_it_should_be_loses_nothing_and_one_that_is_open_may() -> None:
    one = shut()
    ids = pictured.lossless(one)
    assert ids is not None
    assert set(one.sample.paths[pictured.closed(one)].tolist()) <= set(ids.tolist())
    assert (np.diff(ids.astype(np.int64)) != 0).all()
    unsaid = [row["path"] for row in rows(one, np.arange(len(one.sample))) if (row["expected"], row["observed"]) == UNSAID]
    assert {int(path, 16) for path in unsaid} <= set(ids.tolist()) != set(one.sample.paths[pictured.closed(one)].tolist())
    opened = one.compared.reached > 0
    assert not set(one.sample.paths[opened].tolist()) & set(ids.tolist())
    assert pictured.lossless(None) is None


def test_a_restriction_leaves_rows_and_columns_out() -> None:
    one = picture(shut(), "namespace", "namespace", Wanted(source="namespace/shop"))
    assert list(one.rows) == ["shop"]
    assert picture(shut(), "vantage", "target", Wanted(layer="dns")).cells == 0


@pytest.mark.parametrize("dimension", pictured.DIMENSIONS)
def test_every_dimension_can_be_asked_for(dimension: str) -> None:
    one = picture(shut(), dimension, dimension, Wanted())
    assert one.codes.shape == (len(one.rows), len(one.columns))


def test_a_dimension_that_there_is_not_is_refused() -> None:
    with pytest.raises(KeyError):
        picture(shut(), "colour", "node", Wanted())


def test_more_pairs_than_a_picture_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "MAX_PAIRS", 1)
    assert matrix_picture.MAX_PAIRS > 1
    with pytest.raises(TooManyError):
        picture(shut(), "node", "node", Wanted())

"""Verdicts as a picture: one code for every pair of two dimensions, the worst of what it stands for.

In: a comparison, two dimensions and restrictions. Out: a picture as the matrix draws them, with levels of its own: these.
"""

from enum import IntEnum
from typing import Final

import numpy as np

from collector.matrix.histograms import Ids
from collector.matrix.picture import LEVEL, MAX_PAIRS, Code, Codes, Picture
from collector.matrix.places import natural
from collector.matrix.query import TooManyError, Wanted
from collector.verdict.cells import FAMILIES, KINDS, LAYERS, End, Expected, Ints, Mask
from collector.verdict.comparison import Comparison
from collector.verdict.explained import named
from collector.verdict.pair import Verdict


class Shade(IntEnum):
    """Levels of a verdict, the worst last."""

    OK = 0
    UNVERIFIABLE = 1
    DEGRADED = 2
    TARGET_DOWN = 3
    BROKEN = 4
    LEAK = 5


_CODE: Final = {
    Verdict.OK: LEVEL + Shade.OK,
    Verdict.UNVERIFIABLE: LEVEL + Shade.UNVERIFIABLE,
    Verdict.DEGRADED: LEVEL + Shade.DEGRADED,
    Verdict.TARGET_DOWN: LEVEL + Shade.TARGET_DOWN,
    Verdict.BROKEN: LEVEL + Shade.BROKEN,
    Verdict.LEAK: LEVEL + Shade.LEAK,
    Verdict.UNKNOWN: Code.UNKNOWN,
    Verdict.EXCLUDED: Code.EXCLUDED,
}
_CODES: Final = np.array([_CODE[verdict] for verdict in Verdict], np.uint8)
DIMENSIONS: Final = ("vantage", "node", "zone", "namespace", "service", "target")
"""What verdicts can be grouped by."""


def closed(one: Comparison) -> Ints:
    """Which cells should be closed and are, or are not known to be otherwise."""
    verdict = one.compared.verdict
    shut = (verdict == Verdict.OK) | (verdict == Verdict.UNVERIFIABLE)
    return np.flatnonzero((one.answers.answer == Expected.DENY) & shut)


def lossless(one: Comparison | None) -> Ids | None:
    """Ids of paths that lose nothing when nothing comes through, in ascending order: those that are closed as they should be.

    Also those of which policies say neither way, while nothing comes through, as of ICMP to a pod that is closed for all else.
    None where there are none.
    """
    if one is None:
        return None
    compared = one.compared
    unsaid = (one.answers.answer == Expected.UNSPECIFIED) & (compared.verdict == Verdict.UNKNOWN)
    shut = np.zeros(len(one.sample), np.bool_)
    shut[closed(one)] = True
    shut |= unsaid & (compared.sent > 0) & (compared.reached == 0)
    return np.sort(one.sample.paths[shut]) if shut.any() else None


def picture(one: Comparison, rows: str, columns: str, wanted: Wanted) -> Picture:
    """A picture of verdicts. Raises KeyError for a dimension that there is not, and TooManyError for more than MAX_PAIRS."""
    sample = one.sample
    tables = sample.tables
    cells = np.flatnonzero(_wanted(one, wanted))
    row_words, row_of = _coded([_word(end, rows, source=True) for end in tables.sources.all])
    column_words, column_of = _coded([_word(end, columns, source=False) for end in tables.targets.all])
    row, column = row_of[sample.source[cells]], column_of[sample.target[cells]]
    there = (row >= 0) & (column >= 0)
    cells, row, column = cells[there], row[there], column[there]
    used_rows, row = np.unique(row, return_inverse=True)
    used_columns, column = np.unique(column, return_inverse=True)
    height, width = len(used_rows), len(used_columns)
    if height * width > MAX_PAIRS:
        raise TooManyError(f"{height} by {width} pairs are too many for one picture: use from, to or a coarser by")
    code = _CODES[one.compared.verdict[cells]]
    shut = np.zeros(len(sample), np.bool_)
    shut[closed(one)] = True
    code[shut[cells] & (code == LEVEL + Shade.OK)] = Code.CLOSED
    codes: Codes = np.zeros(height * width, np.uint8)
    np.maximum.at(codes, row * width + column, code)
    return Picture(
        [row_words[word] for word in used_rows.tolist()],
        [column_words[word] for word in used_columns.tolist()],
        codes.reshape(height, width),
        None,
        len(cells),
    )


def _wanted(one: Comparison, wanted: Wanted) -> Mask:
    sample, tables = one.sample, one.sample.tables
    which = np.ones(len(sample), np.bool_)
    for side, name in (("from", wanted.source), ("to", wanted.target)):
        if name:
            which &= named(sample, name, side=side)
    for word, every, column in (
        (wanted.layer, LAYERS, tables.layer),
        (wanted.kind, KINDS, tables.kind),
        (wanted.family, FAMILIES, tables.family),
    ):
        if word:
            which &= column[sample.ask] == [member.value for member in every].index(word)
    if wanted.network:
        own = "" if wanted.network == "default" else wanted.network
        which &= np.array([end.network == own for end in tables.targets.all] or [False], np.bool_)[sample.target]
    return which


def _word(end: End, dimension: str, *, source: bool) -> str:
    """The name of an end in a dimension, empty where it has none."""
    kind, _, rest = end.name.partition("/")
    match dimension:
        case "node" | "zone" | "namespace":
            word: str = getattr(end, dimension)
            return word
        case "vantage":
            return end.name if source else ""
        case "target":
            return "" if source else end.name
        case "service":
            return rest if kind == "service" and not source else ""
        case _:
            raise KeyError(dimension)


def _coded(column: list[str]) -> tuple[list[str], Ints]:
    words = sorted({word for word in column if word}, key=natural)
    place = {word: number for number, word in enumerate(words)}
    return words, np.array([place.get(word, -1) for word in column] or [-1], np.int64)

"""Groups of one minute as a few compressed columns, and the points of one pair in them. Pure.

In: groups as the matrix answers them. Out: bytes, and back. Fifty thousand pairs are some hundred kilobytes.
"""

import zlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

VERSION: Final = 1


class _Columns(Struct, frozen=True, array_like=True):
    """One element a pair; `source` and `target` are places in `names`. -1 for what is not known."""

    version: int
    names: tuple[str, ...]
    source: tuple[int, ...]
    target: tuple[int, ...]
    sent: tuple[int, ...]
    lost: tuple[int, ...]
    p50_us: tuple[float, ...]
    p99_us: tuple[float, ...]


class Point(Struct, frozen=True):
    """What one pair did in one span that ended at `at`, in seconds since 1970."""

    at: int
    sent: int
    lost: int
    loss: float | None
    p50_us: float | None
    p99_us: float | None


def packed(cells: Iterable[dict[str, Any]]) -> bytes:
    """Measured groups, as `collector.matrix.groups` answers them, as bytes."""
    measured = [cell for cell in cells if cell["state"] == "measured"]
    names = tuple(dict.fromkeys(name for cell in measured for name in (cell["from"], cell["to"])))
    place = {name: number for number, name in enumerate(names)}

    def known(value: float | None) -> float:
        return -1.0 if value is None else value

    columns = _Columns(
        VERSION,
        names,
        tuple(place[cell["from"]] for cell in measured),
        tuple(place[cell["to"]] for cell in measured),
        tuple(cell["sent"] for cell in measured),
        tuple(cell["sent"] - cell["received"] for cell in measured),
        tuple(known(cell["p50_us"]) for cell in measured),
        tuple(known(cell["p99_us"]) for cell in measured),
    )
    return zlib.compress(msgspec.msgpack.encode(columns), 1)


def point(at: int, body: bytes, source: str, target: str) -> Point | None:
    """What one pair did; None where it was not measured. Raises ValueError for bytes that nobody packed."""
    try:
        columns = msgspec.msgpack.decode(zlib.decompress(body), type=_Columns)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"not a minute of groups: {error}") from None
    if source not in columns.names or target not in columns.names:
        return None
    wanted = columns.names.index(source), columns.names.index(target)
    for number, pair in enumerate(zip(columns.source, columns.target, strict=True)):
        if pair == wanted:
            sent, lost = columns.sent[number], columns.lost[number]
            p50, p99 = columns.p50_us[number], columns.p99_us[number]
            return Point(at, sent, lost, lost / sent if sent else None, p50 if p50 >= 0 else None, p99 if p99 >= 0 else None)
    return None

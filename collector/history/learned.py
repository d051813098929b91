"""What was learned of open paths, as one blob: three columns, in whole seconds, compressed.

In: `Learned`. Out: bytes, and back. A blob that is torn, or of another version, is as none.
"""

import zlib
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from collector.verdict.history import Learned

SECOND: Final = 10**9
MOST_BYTES: Final = 16 * 2**20
"""Most bytes of the columns, far more than as many paths as are remembered take."""


class _Body(Struct, array_like=True):
    """Version, digest of the policies, and the columns."""

    version: int
    rules: str
    paths: bytes
    opened: bytes
    last: bytes


def packed(learned: Learned) -> bytes:
    """The blob of what was learned."""
    opened, last = ((column // SECOND).astype("<i8").tobytes() for column in (learned.opened_ns, learned.last_ns))
    body = _Body(1, learned.rules, learned.paths.astype("<u8").tobytes(), opened, last)
    return zlib.compress(msgspec.msgpack.encode(body), 1)


def unpacked(blob: bytes) -> Learned | None:
    """What a blob says; None where it says nothing that can be."""
    try:
        body = msgspec.msgpack.decode(zlib.decompressobj().decompress(blob, MOST_BYTES), type=_Body)
        paths = np.frombuffer(body.paths, "<u8").astype(np.uint64)
        opened, last = (np.frombuffer(column, "<i8").astype(np.int64) * SECOND for column in (body.opened, body.last))
    except (zlib.error, msgspec.MsgspecError, ValueError):
        return None
    ordered = len(paths) == len(opened) == len(last) and bool((paths[1:] > paths[:-1]).all()) and bool((opened <= last).all())
    return Learned(paths, opened, last, body.rules) if body.version == 1 and ordered else None

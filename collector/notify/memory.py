"""What the next process must know, so that nobody is told twice and what waits is told: one document.

In: what was told and is not over, and what waits for each receiver. Out: bytes, and back; what cannot be read is as none.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from collector.notify.notices import Notice


class Memory(Struct, frozen=True):
    """See the module."""

    told: tuple[Notice, ...] = ()
    waiting: Mapping[str, tuple[Notice, ...]] = {}
    """By the name of a receiver: what it has not got yet."""


def written(memory: Memory) -> bytes:
    """As it is kept."""
    return msgspec.json.encode(memory)


def read(text: bytes | None) -> Memory:
    """What was kept; nothing where it cannot be read."""
    if text is None:
        return Memory()
    try:
        return msgspec.json.decode(text, type=Memory)
    except (msgspec.MsgspecError, UnicodeError):
        return Memory()

"""Answers in bytes that many ask for: made once, kept for a second, compressed once.

In: a question and a way to answer it in slices. Out: bytes, plain or as gzip. So fifty pages that look at the same cost as one,
and as many that look at something else each are answered one after the other.
"""

import asyncio
import time
import zlib
from collections.abc import Callable
from typing import Final

from collector.api.asking import Asking
from collector.matrix.slices import Slices

GOOD_NS: Final = 1_000_000_000
"""How long a rendering is good for, however many ask."""
GOOD_FOR: Final = 20
"""A picture is good for so many times as long as it took to make, so that making it costs a twentieth of a core at most."""
MOST_GOOD_NS: Final = 10_000_000_000
"""And for no longer than that: reports come as often."""
MOST: Final = 12
"""Renderings that are kept; the oldest leave first."""
MOST_BYTES: Final = 64 * 2**20
"""What they hold together, besides the newest: a picture of 5,000 nodes has 25 MB, and anybody may ask for many of them."""
AT_ONCE: Final = 2
"""Renderings that are made at a time."""
COMPRESSED: Final = 2**20
"""Bytes that are compressed at a time."""


class _Rendering:
    """One answer, and when it was made."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.made_ns = 0
        self.good_ns = GOOD_NS
        self.bodies: dict[str, bytes] = {}
        """By encoding, the plain one under the empty word."""

    @property
    def bytes(self) -> int:
        """What it holds."""
        return sum(len(body) for body in self.bodies.values())


class Renderings:
    """See the module."""

    def __init__(self, asking: Asking, *, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._asking = asking
        self._clock = clock
        self._kept: dict[str, _Rendering] = {}
        self._making = asyncio.Semaphore(AT_ONCE)

    async def body(self, question: str, slices: Callable[[int], Slices[bytes]], *, now_ns: int, encoding: str) -> bytes:
        """What `slices(now_ns)` returns, or what it returned a moment ago; as it is, or with `gzip`."""
        return (await self._made(question, slices, now_ns, encoding, is_picture=False)).bodies[encoding]

    async def picture(
        self, question: str, slices: Callable[[int], Slices[bytes]], *, now_ns: int, encoding: str
    ) -> tuple[bytes, int]:
        """The same of a picture, with its age in nanoseconds: the longer it took to make, the longer it is good."""
        rendering = await self._made(question, slices, now_ns, encoding, is_picture=True)
        return rendering.bodies[encoding], max(0, now_ns - rendering.made_ns)

    async def _made(
        self, question: str, slices: Callable[[int], Slices[bytes]], now_ns: int, encoding: str, *, is_picture: bool
    ) -> _Rendering:
        """One that is good, in this encoding."""
        rendering = self._kept.pop(question, None) or _Rendering()
        self._kept[question] = rendering
        self._make_room()
        async with rendering.lock:
            good = bool(rendering.bodies) and now_ns - rendering.made_ns < rendering.good_ns
            if not good or encoding not in rendering.bodies:
                async with self._making:
                    if not good:
                        began_ns = self._clock()
                        rendering.bodies = {"": await self._asking.finished(lambda: slices(now_ns))}
                        rendering.made_ns = now_ns
                        took_ns = self._clock() - began_ns if is_picture else 0
                        rendering.good_ns = min(MOST_GOOD_NS, max(GOOD_NS, GOOD_FOR * took_ns))
                    if encoding:
                        strategy = zlib.Z_RLE if is_picture else zlib.Z_DEFAULT_STRATEGY
                        rendering.bodies[encoding] = await _compressed(rendering.bodies[""], strategy)
        return rendering

    def _make_room(self) -> None:
        """Forget the oldest, until what is left besides the newest is within bounds."""
        held = sum(one.bytes for one in self._kept.values())
        while len(self._kept) > MOST or (len(self._kept) > 1 and held > MOST_BYTES):
            held -= self._kept.pop(next(iter(self._kept))).bytes


async def _compressed(body: bytes, strategy: int) -> bytes:
    """A gzip member, with a pause after every part of it.

    A picture has runs and nothing else that repeats: with `Z_RLE` it is a fifth shorter, and made in half of the time.
    """
    compressor, parts = zlib.compressobj(level=1, wbits=16 + zlib.MAX_WBITS, strategy=strategy), []
    for start in range(0, len(body), COMPRESSED):
        parts.append(compressor.compress(body[start : start + COMPRESSED]))
        await asyncio.sleep(0)
    return b"".join([*parts, compressor.flush()])

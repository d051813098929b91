"""Hashes of names, and arrays of numbers that follow from them: what takes the place of chance in a plan.

BLAKE2b once per name, then SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) over arrays.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_GAMMA: Final = 0x9E3779B97F4A7C15
_MASK: Final = 2**64 - 1


def hashes(names: Iterable[str]) -> Hashes:
    """A 64-bit number for each name."""
    digests = b"".join(blake2b(name.encode(), digest_size=8, person=b"netmatrix plan").digest() for name in names)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def mixed(numbers: Hashes, seed: int) -> Hashes:
    """Other numbers, as if by chance; other ones for every seed."""
    value: Hashes = numbers ^ np.uint64(_scrambled(seed))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _scrambled(seed: int) -> int:
    value = (seed + 1) * _GAMMA & _MASK
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)

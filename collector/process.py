"""What the collector asks of its own process: descriptors, a garbage collector that keeps out of the way, and memory back."""

import ctypes
import gc
import resource

_YOUNG = 50_000
"""Objects in hand before a look for cycles. A plan has some 500, none in a cycle: with the default of 700 looking for some took
as long as making it."""


def raise_descriptors() -> None:
    """Allow this process as many open files as it may allow itself (getrlimit(2))."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def shortage(allowed: int, vantages: int, *, others: int) -> str | None:
    """What is wrong with so few descriptors for so many vantages and `others`, in one sentence; None where they suffice."""
    needed = vantages + others
    if allowed >= needed:
        return None
    return f"{needed} files may have to be open at once for {vantages} vantages, and the limit is {allowed} (ulimit -Hn)"


def settle() -> None:
    """Look for cycles more rarely, and never again among what is there by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


def give_back() -> None:
    """Give memory that nobody uses back to the system (malloc_trim(3)); nothing happens where the C library has no such call.

    It would be kept for arrays to come: beside 5,000 nodes, 100 MiB between two passes over all that is measured of them.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

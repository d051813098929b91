"""Paths, probes and patience for tests of the datagram kinds on real sockets."""

import asyncio
import itertools
import socket
import time
from collections.abc import Sequence

from agent.probes.datagram import DatagramProber
from agent.probes.prober import Note, Observation, Probe
from agent.track import Track
from wire.path import Ask, Family, Layer, Path, Target
from wire.plan import PlannedPath

_numbers = itertools.count(1)
_tracks: dict[int, Track] = {}
"""By the identity of their path, which they keep alive."""


def a_path(address: str, ask: Ask, *, uid: str = "", name: str = "pod/shop/cart-0") -> Path:
    target = Target(name, "n2", address=address, uid=uid)
    return Path("n1", target, Layer.POD, Family.of(address), ask)


def a_probe(path: Path) -> Probe:
    """The next probe of a path, which has one track for as long as the tests run."""
    track = _tracks.setdefault(id(path), Track(PlannedPath(path, 1000, 1000)))
    return Probe(next(_numbers), path, path.target.address, track=track)


def collected(prober: DatagramProber, count: int, *, patience: float = 5.0) -> list[Observation | Note]:
    """What the prober collects until it has so many observations, or until patience ends."""
    found: list[Observation | Note] = []
    end = time.monotonic() + patience
    while len(observations(found)) < count and time.monotonic() < end:
        found += prober.collect()
        time.sleep(0.002)
    return found


def observations(found: Sequence[Observation | Note]) -> list[Observation]:
    return [item for item in found if isinstance(item, Observation)]


def notes(found: Sequence[Observation | Note]) -> list[Note]:
    return [item for item in found if isinstance(item, Note)]


def received(sock: socket.socket) -> bytes:
    """The next packet that a non-blocking socket receives; stamps waiting beside it would make it look readable."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            return sock.recv(65_536)
        except BlockingIOError:
            time.sleep(0.001)
    raise TimeoutError


async def awaited(prober: DatagramProber, count: int, *, patience: float = 5.0) -> list[Observation | Note]:
    """The same while the loop runs, for a reflector that lives on it."""
    found: list[Observation | Note] = []
    end = time.monotonic() + patience
    while len(observations(found)) < count and time.monotonic() < end:
        await asyncio.sleep(0.002)
        found += prober.collect()
    return found

"""What peers and selectors match among classes of pods, and blocks among addresses, as vectors."""

from collections.abc import Callable, Hashable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from collector.policy.ends import Pod, address_of
from collector.policy.labels import Selector
from collector.policy.rules import BlockPeer, Network, Peer, PodPeer
from wire.path import Family

Bits = npt.NDArray[np.bool_]


class Vectors:
    """What peers and selectors match among the classes, each found once."""

    def __init__(self, classes: Sequence[Pod], family: Family) -> None:
        self._classes = classes
        self._family = family
        self._numbers = _numbers(classes, family)
        self._known: dict[Hashable, Bits] = {}
        self._members: dict[str, list[int]] = {}
        for place, pod in enumerate(classes):
            self._members.setdefault(pod.namespace.name, []).append(place)
        self.none = np.zeros(len(classes), dtype=np.bool_)
        self.every = np.ones(len(classes), dtype=np.bool_)

    def once(self, key: Hashable, find: Callable[[], Bits]) -> Bits:
        """A vector by its key, found when it is first asked for."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = find()
        return found

    def of_peer(self, peer: Peer) -> Bits:
        """By class: whether a peer is about its pods."""
        if isinstance(peer, BlockPeer):
            return self.once(("block", peer), lambda: self._held(peer))
        if not isinstance(peer, PodPeer):
            return self.none
        if peer.namespace:
            found = self.none.copy()
            members = [place for place in self._members.get(peer.namespace, ()) if peer.selects(self._classes[place])]
            found[members] = True
            return found
        pods = self.once(("pods", msgspec.json.encode(peer.pods)), lambda: self._selected(peer.pods))
        return pods & self.once(("namespaces", msgspec.json.encode(peer.namespaces)), lambda: self._within(peer.namespaces))

    def _held(self, peer: BlockPeer) -> Bits:
        return _inside(self._numbers, peer, self._family)

    def _selected(self, selector: Selector) -> Bits:
        return np.array([selector.selects(pod.labels) for pod in self._classes], dtype=np.bool_)

    def _within(self, selector: Selector) -> Bits:
        found = self.none.copy()
        for places in self._members.values():
            found[places] = selector.selects(self._classes[places[0]].namespace.labels)
        return found


def holders(blocks: Sequence[BlockPeer], pods: Sequence[Pod], family: Family) -> list[bytes]:
    """For each pod, which of the blocks hold its address, as bits."""
    numbers = _numbers(pods, family)
    rows = np.zeros((len(pods), len(blocks)), dtype=np.bool_)
    for place, block in enumerate(blocks):
        rows[:, place] = _inside(numbers, block, family)
    return [row.tobytes() for row in np.packbits(rows, axis=1)]


def _numbers(pods: Sequence[Pod], family: Family) -> npt.NDArray[np.uint64]:
    """The addresses of pods as numbers, in two halves of 64 bits."""
    found = [int(address_of(pod, family) or 0) for pod in pods]
    return np.array([(one >> 64, one & (2**64 - 1)) for one in found], dtype=np.uint64).reshape(-1, 2)


def _inside(numbers: npt.NDArray[np.uint64], block: BlockPeer, family: Family) -> Bits:
    """Which addresses of a family a block holds; none where it is of the other family."""
    version = 4 if family is Family.IPV4 else 6
    if block.network.version != version:
        return np.zeros(len(numbers), dtype=np.bool_)
    held = _between(numbers, block.network)
    for one in block.exceptions:
        if one.version == version:
            held &= ~_between(numbers, one)
    return held


def _between(numbers: npt.NDArray[np.uint64], network: Network) -> Bits:
    first, last = (divmod(int(one), 2**64) for one in (network.network_address, network.broadcast_address))
    high, low = numbers[:, 0], numbers[:, 1]
    from_first = (high > np.uint64(first[0])) | ((high == np.uint64(first[0])) & (low >= np.uint64(first[1])))
    to_last = (high < np.uint64(last[0])) | ((high == np.uint64(last[0])) & (low <= np.uint64(last[1])))
    inside: Bits = from_first & to_last
    return inside

"""Who probes what is not probed by all: a few vantages of each zone, drawn by rendezvous hash. Pure.

Every vantage has a number for every item, and those with the highest probe it (highest random weight, Thaler and Ravishankar
1998). So a join takes an item from at most one vantage of its zone, and a leave gives it to at most one.
"""

import numpy as np

from collector.plan.hashing import Hashes, hashes, mixed
from collector.plan.matching import Ints, Mask


def sharers(item: str, *, vantages: Hashes, zones: Ints, able: Mask, each: int) -> Ints:
    """The numbers of those who probe an item, ascending: of each zone as many as `each`, or all who are `able` where fewer.

    Vantages whose numbers are the same, one time in 2^64, are taken in the order of their names.
    """
    candidates = np.flatnonzero(able)
    weights = mixed(vantages[candidates] ^ hashes([item])[0], 0)
    order = np.lexsort((~weights, zones[candidates]))
    drawn = zones[candidates][order]
    begins = np.flatnonzero(np.diff(drawn, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    return np.sort(candidates[order[rank < each]])


def one_of_each_zone(peers: Ints, *, hashes: Hashes, zones: Ints) -> Ints:
    """Of everybody's peers (a row for each) one of each zone, drawn by the weight of the pair: pairs in an array (n, 2)."""
    rows = np.repeat(np.arange(len(peers)), peers.shape[1])
    columns = peers.ravel()
    weights = mixed(mixed(hashes[rows], 1) ^ hashes[columns], 2)
    order = np.lexsort((weights, zones[columns], rows))
    places = np.stack((rows, zones[columns]), axis=1)[order]
    first = np.append(True, (places[1:] != places[:-1]).any(axis=1)) if len(order) else np.zeros(0, np.bool_)
    pairs: Ints = np.stack((rows, columns), axis=1)[order[first]]
    return pairs

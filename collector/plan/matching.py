"""Matches givers with takers so that one more or one less of them changes few matches. Pure, and a function of the sets alone.

In rounds: in each one all who are left stand in a row in an order of their hashes, another order in every round, and a giver
whose next one is a taker is matched with it. About half of them are matched in a round, and one more in the row changes at most
one match of a round. So all are matched after about log2(n) rounds, and one more or less changes about log2(n) matches.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.plan.hashing import Hashes, mixed

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

ROUNDS: Final = 128
"""Whoever is left after so many is left for good: of one giver and one taker, one time in 2^128."""


def matched(
    givers: Ints, takers: Ints, *, hashes: Hashes, seed: int, apart: Ints, group: tuple[Ints, Ints] | None = None
) -> Ints:
    """Pairs (giver, taker) of vertices in an array of shape (n, 2), each one in at most one pair.

    `hashes` and `apart` are by vertex, and the two of a pair differ in `apart`. `group` has a number for each giver and each
    taker, who are then matched within their group only.
    """
    groups = group or (np.zeros_like(givers), np.zeros_like(takers))
    pairs = [np.zeros((0, 2), np.int64)]
    for turn in range(ROUNDS):
        hopeful = np.isin(groups[0], groups[1]), np.isin(groups[1], groups[0])
        givers, takers, groups = givers[hopeful[0]], takers[hopeful[1]], (groups[0][hopeful[0]], groups[1][hopeful[1]])
        kinds = apart[np.concatenate((givers, takers))]
        if not len(kinds) or (kinds == kinds[0]).all():
            break
        places = mixed(hashes[givers], seed + 2 * turn), mixed(hashes[takers], seed + 2 * turn + 1)
        order = np.lexsort((np.concatenate(places), np.concatenate(groups)))
        one, other = order[:-1], order[1:]
        met = (one < len(givers)) & (other >= len(givers))
        one, other = one[met], other[met] - len(givers)
        good = (groups[0][one] == groups[1][other]) & (apart[givers[one]] != apart[takers[other]])
        one, other = one[good], other[good]
        pairs.append(np.stack((givers[one], takers[other]), axis=1))
        givers, takers = np.delete(givers, one), np.delete(takers, other)
        groups = np.delete(groups[0], one), np.delete(groups[1], other)
    return np.concatenate(pairs)

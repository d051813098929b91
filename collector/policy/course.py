"""One direction of one class of pods on its way through the tiers, for all other ends at once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.policy.evaluate import Answer
from collector.policy.rules import Action, Rule, Tier

Bits = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
Matches = Callable[[Rule, Tier], tuple[Bits, Bits]]
"""Whether a rule matches each of the other ends, and whether it may."""

ANSWERS: Final = (Answer.ALLOW, Answer.UNSPECIFIED, Answer.UNKNOWN, Answer.DENY)
"""By code; of two directions the higher one holds."""
CODE: Final = {answer: code for code, answer in enumerate(ANSWERS)}


def hits(rules: Sequence[Rule], tier: Tier, matches: Matches) -> list[tuple[Action, Bits]]:
    """What the rules of one policy do, in their order. Among pods no rule of an admin tier is in doubt."""
    return [(rule.action, matches(rule, tier)[0]) for rule in rules]


class Course:
    """One direction of one class on its way through the tiers."""

    def __init__(self, size: int) -> None:
        self.codes: Codes = np.zeros(size, dtype=np.uint8)
        self.undecided: Bits = np.ones(size, dtype=np.bool_)
        self.doubtful: Bits = np.zeros(size, dtype=np.bool_)
        """Where equal priorities contradict each other: to be asked one by one."""

    def isolate(self, matches: Iterable[tuple[Bits, Bits]]) -> None:
        """Deny what no rule matches, finally."""
        certain, perhaps = np.zeros_like(self.undecided), np.zeros_like(self.undecided)
        for found in matches:
            certain |= found[0]
            perhaps |= found[1]
        denied = self.undecided & ~certain
        self.codes[denied] = CODE[Answer.DENY]
        self.codes[denied & perhaps] = CODE[Answer.UNSPECIFIED]
        self.undecided[:] = False

    def rank(self, groups: Iterable[Sequence[Sequence[tuple[Action, Bits]]]]) -> None:
        """Let the first match decide, group by group; within one, every policy has a say."""
        passed = np.zeros_like(self.undecided)
        for group in groups:
            taken = {action: np.zeros_like(self.undecided) for action in Action}
            for rules in group:
                left = self.undecided & ~passed
                for action, bits in rules:
                    taken[action] |= bits & left
                    left &= ~bits
            accepted, denied = taken[Action.ACCEPT], taken[Action.DENY]
            self.doubtful |= (accepted & denied) | ((accepted | denied) & taken[Action.PASS])
            self.codes[denied] = CODE[Answer.DENY]
            self.undecided &= ~(accepted | denied)
            passed |= taken[Action.PASS]

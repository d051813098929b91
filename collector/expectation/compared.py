"""An expectation against what a few probes saw: POLICY's table, for one path at a time.

In: what is expected, what came of the probes, and whether the target is known to listen. Out: a verdict with its because.
"""

from msgspec import Struct

from collector.expectation.expected import Expectation
from collector.policy.evaluate import Answer


class Seen(Struct, frozen=True):
    """What came of the probes of one path."""

    sent: int
    lost: int
    refused: int = 0
    """Of the lost."""
    confirmed: bool = True
    """Whether it is known that the planned pod answered, where one did."""

    @property
    def received(self) -> int:
        """How many got through."""
        return self.sent - self.lost

    @property
    def is_open(self) -> bool:
        """Whether any did, to whom it was meant for."""
        return self.received > 0 and self.confirmed

    @property
    def word(self) -> str:
        """What was observed, as every answer has it."""
        if not self.sent:
            return "none"
        return "open" if self.is_open else "refused" if self.refused == self.lost == self.sent else "timeout"

    def __str__(self) -> str:
        """As in a sentence."""
        return f"{self.received} of {self.sent} probes got through"


class Control(Struct, frozen=True):
    """What proves that a target listens."""

    reached: bool = False
    """Somebody else got through to it in the same round."""
    kubelet: bool = False
    """Its pod is ready, and has a readiness probe on that very port."""


class Verdict(Struct, frozen=True):
    """What is true of one path."""

    word: str
    because: str


def compared(expected: Expectation, seen: Seen, control: Control) -> Verdict:
    """What is true of a path. Silence of an agent, and an answer of somebody else, say nothing of it."""
    if not seen.sent:
        return Verdict("unknown", "its agent has not answered")
    if seen.received and not seen.confirmed:
        return Verdict("unknown", "answered, and nothing proved that the planned pod did")
    if expected.answer is Answer.ALLOW:
        return _of_open(expected, seen, control)
    if expected.answer is Answer.DENY:
        return _of_closed(expected, seen, control)
    return Verdict("unknown", expected.because)


def _of_open(expected: Expectation, seen: Seen, control: Control) -> Verdict:
    if seen.is_open:
        return Verdict("ok", str(seen))
    if control.reached:
        return Verdict("broken", f"{seen}, and others reach it; {expected.because}")
    return Verdict("target_down", f"{seen}, and nobody else reaches it either")


def _of_closed(expected: Expectation, seen: Seen, control: Control) -> Verdict:
    """A refusal comes from where the path ends: only a plugin that refuses may send one for what it closes."""
    if seen.is_open:
        return Verdict("leak", f"{seen}; {expected.because}")
    if seen.word == "refused" and expected.deny_outcome == "timeout":
        return Verdict("leak", f"it was refused, so that it was reached; {expected.because}")
    if seen.word != "refused" and expected.deny_outcome == "reject":
        return Verdict("degraded", f"it is closed, and not by a refusal; {expected.because}")
    if control.reached:
        return Verdict("ok", f"{seen}, and others reach it; {expected.because}")
    if control.kubelet:
        return Verdict("ok", f"{seen}; control: kubelet; {expected.because}")
    return Verdict("unverifiable", f"{seen}, and nothing proves that it listens")

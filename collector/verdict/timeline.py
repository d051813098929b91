"""What happened to an incident, and when: first seen, refined, told, not seen any more, seen again, over. Pure.

In: the steps so far, and how the incident stands after a pass. Out: the steps with what is new. Numbers change at each pass and
are no step: only what an incident is about, and its phase.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from collector.verdict.hold import Phase

MOST: Final = 40
"""Steps of one incident; of a flapping one the middle is left out."""
FIRST: Final = 8
"""Those that always stay."""


class What(StrEnum):
    """A word for each sort of step."""

    OPENED = "opened"
    REFINED = "refined"
    FIRED = "fired"
    UNSEEN = "not seen any more"
    SEEN_AGAIN = "seen again"
    EXPLAINED = "explained by a wider one"
    ON_ITS_OWN = "on its own again"
    RESOLVED = "resolved"


class Step(NamedTuple):
    """One thing that happened."""

    at_ns: int
    what: What
    words: str
    """What the incident said of itself then; of an explanation the id of the wider incident."""


class Standing(NamedTuple):
    """How an incident stands after a pass."""

    phase: Phase
    since_ns: int
    subject: tuple[str, ...]
    """What it is about, in names that do not change while nothing else becomes known."""
    sentence: str
    inhibited_by: str = ""


class Timeline(NamedTuple):
    """The steps of one incident, the oldest first, and how it stood when the last pass was over."""

    steps: tuple[Step, ...] = ()
    standing: Standing | None = None


_BY_PHASE: Final = {
    (Phase.PENDING, Phase.FIRING): What.FIRED,
    (Phase.FIRING, Phase.RESOLVING): What.UNSEEN,
    (Phase.RESOLVING, Phase.FIRING): What.SEEN_AGAIN,
    (Phase.FIRING, Phase.CLOSED): What.RESOLVED,
    (Phase.RESOLVING, Phase.CLOSED): What.RESOLVED,
}


def followed(before: Timeline, now: Standing, now_ns: int) -> Timeline:
    """After another pass."""
    last = before.standing
    if last is None:
        return Timeline((Step(now.since_ns, What.OPENED, now.sentence),), now)
    steps = list(before.steps)
    if now.subject != last.subject:
        steps.append(Step(now_ns, What.REFINED, now.sentence))
    if what := _BY_PHASE.get((last.phase, now.phase)):
        steps.append(Step(now_ns, what, now.sentence))
    if now.inhibited_by != last.inhibited_by:
        what = What.EXPLAINED if now.inhibited_by else What.ON_ITS_OWN
        steps.append(Step(now_ns, what, now.inhibited_by))
    return Timeline(_bounded(steps), now)


def _bounded(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(steps) if len(steps) <= MOST else (*steps[:FIRST], *steps[FIRST - MOST :])

"""What should be against what is, pass after pass, with what has to be remembered in between.

In: samples. Out: of each, its cells with what is expected of them, and the verdict of every one. Expectations are made anew
only when something that they follow from has changed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

import numpy as np

from collector.derivation import ExpectSettings
from collector.discovery.ends import Ends
from collector.discovery.expecting import expectations_in, expects_the_same
from collector.discovery.snapshot import Snapshot
from collector.expectation.contradictions import Contradiction, contradictions
from collector.expectation.expected import Expectations
from collector.verdict.cells import Cells, Expected, Ints, Mask, Reason
from collector.verdict.changes import Changes, Delay
from collector.verdict.control import Control
from collector.verdict.declared import Declared
from collector.verdict.expecting import Answers, Expecting
from collector.verdict.history import History, Learned
from collector.verdict.objectives import Missed, missed, windows_of
from collector.verdict.pair import ALWAYS, Compared, Comparing, Verdict
from collector.verdict.reading import cells_of
from collector.verdict.sample import NO_WINDOWS, Sample, Words
from collector.verdict.windows import NOTHING_WANTED, Wanted

RULES: Final = ("policies", "opaque", "policies_read")
AT_ONCE: Final = (*RULES, "namespaces", "expectations", "profile")
"""What is taken into account in the very pass that sees another one."""
REST_NS: Final = 1_000_000
"""For each end that is known, so long expectations rest after they were made where only ends came, went or changed: where a
thousand do so in a minute, twenty seconds in a cluster of 20,000 ends, and none that anybody notices in a small one."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One pass."""

    sample: Sample
    wall_ns: int
    """Unix time of the sample."""
    spans: list[Cells]
    answers: Answers
    compared: Compared
    past: Mask
    """Cells that are broken by their own history."""
    open_until_ns: Ints
    """When each of the cells of which nobody says anything was open last; ALWAYS for all others."""
    since_ns: Ints
    expectations: Expectations
    contradictions: tuple[Contradiction, ...]
    missed: tuple[Missed, ...]
    """Paths that are open and miss a declared objective."""
    delays: tuple[Delay, ...]


def open_until(one: Comparison, cell: int) -> str:
    """When a cell of which nobody says anything was open last, as a time of day."""
    unix_ns = one.wall_ns - (one.sample.now_ns - int(one.open_until_ns[cell]))
    return f"{datetime.fromtimestamp(unix_ns / 1e9, UTC):%H:%M:%S} UTC"


def kept(one: Comparison) -> Comparison:
    """What of a pass is worth keeping until the next one: enough to explain every cell, in few bytes each."""
    sample, compared = one.sample, one.compared
    small = replace(
        sample,
        source=sample.source.astype(np.int32, copy=False),
        target=sample.target.astype(np.int32, copy=False),
        ask=sample.ask.astype(np.int32, copy=False),
        place=np.zeros(0, np.float32),
        sent=(),
        lost=(),
        windows=NO_WINDOWS,
        words=tuple(
            words if number in set(np.unique(compared.span).tolist()) else NOTHING for number, words in enumerate(sample.words)
        ),
    )
    answers = Answers(one.answers.number.astype(np.int32, copy=False), one.answers.every, one.answers.answer)
    return replace(
        one, sample=small, spans=[], answers=answers, since_ns=_thin(one.since_ns), open_until_ns=_thin(one.open_until_ns)
    )


def _thin(times_ns: Ints) -> Ints:
    """The same without memory where nothing was ever otherwise."""
    return np.broadcast_to(np.int64(ALWAYS), times_ns.shape) if (times_ns == ALWAYS).all() else times_ns


class Comparer:
    """See the module. `settings` are those in force."""

    def __init__(self, settings: Callable[[], ExpectSettings]) -> None:
        self._settings = settings
        self._made_of: ExpectSettings | None = None
        self._made_ns = ALWAYS
        self._looked_at: Snapshot | None = None
        """A snapshot that the expectations are known to be those of."""
        self._expecting: Expecting | None = None
        self._contradictions: tuple[Contradiction, ...] = ()
        self._comparing = Comparing()
        self._changes = Changes()
        self._history = History()
        self._declared = Declared()
        self._rules = ""
        """Digest of the policies in force; empty before the first pass, or that of the process before."""
        self._policies_ns = ALWAYS
        """When policies changed last."""
        self.windows: Wanted = NOTHING_WANTED
        """What the next sample must have, for the objectives that there are."""

    def look(self, sample: Sample, *, wall_ns: int) -> Comparison:
        """One pass; `wall_ns` is Unix time."""
        expecting, answers = self._answers(sample)
        since_ns = self._changes.since(sample.paths, now_ns=sample.now_ns)
        spans = cells_of(sample, answers.answer)
        compared = self._comparing.compared(sample, spans, answers, since_ns)
        compared, unneeded = self._declared.judged(sample, answers, compared)
        spans, compared, past, last_ns = self._remember(sample, spans, answers, compared, unneeded)
        agree = compared.verdict == Verdict.OK
        judged = (spans[sample.round].reason == Reason.JUDGED) & ~compared.grace
        judged &= (compared.verdict == Verdict.OK) | (compared.verdict == Verdict.DEGRADED)
        judged &= answers.answer == Expected.ALLOW
        self.windows = windows_of(sample, answers)
        delays = self._changes.agreed(sample.paths, agree, since_ns, now_ns=sample.now_ns)
        return Comparison(
            sample,
            wall_ns,
            spans,
            answers,
            compared,
            past,
            last_ns,
            since_ns,
            expecting.expectations,
            self._contradictions,
            missed(sample, answers, judged),
            tuple(Delay(answers.every[int(answers.number[place])].source, seconds) for place, seconds in delays),
        )

    def learned(self, *, ahead_ns: int) -> Learned | None:
        """What the next process may be told of paths of which nobody says anything; None before the first pass."""
        return self._history.learned(self._rules, ahead_ns=ahead_ns) if self._expecting is not None else None

    def recall(self, learned: Learned, *, ahead_ns: int) -> None:
        """Begin with what the process before has learned, before the first pass."""
        self._history.recall(learned, ahead_ns=ahead_ns)
        self._rules = learned.rules

    def _answers(self, sample: Sample) -> tuple[Expecting, Answers]:
        before, settings = self._expecting, self._settings()
        if before is not None and settings == self._made_of and not self._is_due(before.snapshot, sample):
            return before, before.answers(sample)
        ends = Ends(sample.snapshot)
        expectations = expectations_in(sample.snapshot, settings, ends)
        self._made_of, self._made_ns = settings, sample.now_ns
        self._looked_at = sample.snapshot
        self._history.learn_ns = settings.learn
        self._expecting = following = Expecting(sample.snapshot, expectations, ends)
        self._contradictions = contradictions(expectations)
        answers = following.answers(sample)
        if before is not None:
            self._changes.note(sample.paths, before.answers(sample).answer, answers.answer, now_ns=sample.now_ns)
        if before is None or not _same(before.snapshot, sample.snapshot, RULES):
            rules = digest_of(sample.snapshot)
            if self._rules not in {"", rules}:
                self._policies_ns = sample.now_ns
            self._rules = rules
        return following, answers

    def _is_due(self, before: Snapshot, sample: Sample) -> bool:
        """Whether expectations are to be made anew of what exists now."""
        after = sample.snapshot
        if after is self._looked_at:
            return False
        if _same(before, after, AT_ONCE):
            ends = len(before.nodes) + len(before.vantages) + len(before.pods)
            if sample.now_ns - self._made_ns < REST_NS * ends:
                return False
            if expects_the_same(before, after):
                self._looked_at = after
                return False
        return True

    def _remember(
        self, sample: Sample, spans: list[Cells], answers: Answers, compared: Compared, unneeded: Mask
    ) -> tuple[list[Cells], Compared, Mask, Ints]:
        """Count what was open as what should be, where nobody says anything else."""
        past: Mask = np.zeros(len(sample), np.bool_)
        last_ns: Ints = np.broadcast_to(np.int64(ALWAYS), past.shape)
        expected, verdict = answers.answer.copy(), compared.verdict.copy()
        expected[(compared.grace & (verdict != Verdict.OK)) | unneeded] = Expected.UNKNOWN
        silent = np.flatnonzero((answers.answer == Expected.UNSPECIFIED) | (answers.answer == Expected.UNKNOWN))
        if len(silent):
            judged = spans[sample.round].reason[silent] == Reason.JUDGED
            sent, reached = compared.sent[silent], compared.reached[silent]
            found = self._history.follow(
                sample.paths[silent],
                open_=judged & (reached > 0),
                closed=judged & (sent >= CONFIRMING) & (reached == 0),
                now_ns=sample.now_ns,
                changed_ns=self._policies_ns,
            )
            last_ns = last_ns.copy()
            past[silent], last_ns[silent] = found.broken, found.last_ns
            expected[silent[found.known]] = Expected.ALLOW
            verdict[past & (verdict == Verdict.UNKNOWN)] = Verdict.BROKEN
            verdict[past & (verdict == Verdict.BROKEN) & (compared.control == Control.NONE)] = Verdict.TARGET_DOWN
        return [replace(cells, expected=expected) for cells in spans], replace(compared, verdict=verdict), past, last_ns


NOTHING: Final = Words(*[np.zeros(0, np.int64)] * 3)
CONFIRMING: Final = 3
"""Probes that must all fail before a path of which nobody says anything is closed."""


def digest_of(snapshot: Snapshot) -> str:
    """What policies are in force, in sixteen letters."""
    said = "\n".join(sorted(repr(one) for name in RULES[:2] for one in getattr(snapshot, name)))
    return blake2b(f"{snapshot.policies_read} {said}".encode(), digest_size=8).hexdigest()


def _same(one: Snapshot, other: Snapshot, fields: tuple[str, ...]) -> bool:
    return one is other or all(getattr(one, name) == getattr(other, name) for name in fields)

"""Each cell against what is expected of it: POLICY's table, for all cells at once.

In: a sample, its cells by span, what is expected, and since when. Out: a verdict per cell and what it rests on. A closed path
is only as it should be where a control proves that its target listens; an open one that fails is only broken where somebody
else gets through. A mismatch is not claimed before enough probes show it, nor while a change may still be on its way.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.expectation.expected import Expectation
from collector.verdict.cells import KINDS, Cells, Expected, Ints, Mask, Reason, Small
from collector.verdict.control import Controls
from collector.verdict.expecting import Answers
from collector.verdict.sample import Sample, Words
from wire.outcome import Outcome
from wire.path import Kind

Column = NDArray[Any]
"""Integers of some width."""

ALWAYS: Final = -(2**62)
"""Since when something holds that has never been otherwise."""
FEW: Final = 2
RECENT_NS: Final = 15 * 10**9
"""A mismatch of fewer probes than confirm it counts as suspicion while its span is no longer than this."""
LOSSY: Final = 0.01
"""Losses of a round, and their share, from which on an open path is degraded, unless an objective says another."""
FLOWS: Final = (KINDS.index(Kind.UDP), KINDS.index(Kind.ICMP))
"""Kinds that ask over one flow again and again; the others connect anew each time."""
ANSWERED: Final = (
    *(Outcome.RESET, Outcome.TLS, Outcome.HTTP_STATUS, Outcome.PROTOCOL, Outcome.LATE),
    *(Outcome.DNS_NXDOMAIN, Outcome.DNS_SERVFAIL, Outcome.DNS_ERROR),
)
"""Failures of which something beyond the network is the cause: the path is open."""


EXCLUDED: Final = (Reason.SETTLING, Reason.LEAVING, Reason.NOT_READY)


class Verdict(IntEnum):
    """What is true of a cell now."""

    OK = 0
    DEGRADED = 1
    BROKEN = 2
    LEAK = 3
    TARGET_DOWN = 4
    UNVERIFIABLE = 5
    UNKNOWN = 6
    EXCLUDED = 7

    @property
    def word(self) -> str:
        """As it is told."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One element a cell."""

    verdict: Small
    control: Column
    """`Control`."""
    span: Column
    """The span that it rests on."""
    sent: Column
    """Of that span."""
    reached: Column
    """Of these: answered in whatever way."""
    refused: Column
    suspect: Mask
    """Whether its latest probes show a mismatch that is not yet confirmed."""
    grace: Mask
    """Whether a change may still be on its way."""


class Rules(NamedTuple):
    """Of each expectation in a list."""

    failures: Ints
    of: Ints
    grace_ns: Ints
    refusal_leaks: Mask
    """Whether a refusal shows that a closed path is open: what should be dropped has reached somebody."""
    loss: NDArray[np.float64]
    """Share of losses from which an open path is degraded."""


def rules_of(every: tuple[Expectation, ...]) -> Rules:
    """What each says about how to judge."""
    return Rules(
        np.array([one.confirm[0] for one in every], np.int64),
        np.array([one.confirm[1] for one in every], np.int64),
        np.array([one.grace_ns for one in every], np.int64),
        np.array([one.deny_outcome == "timeout" for one in every], np.bool_),
        np.array([one.slo.loss.ratio if one.slo is not None and one.slo.loss is not None else LOSSY for one in every]),
    )


class Comparing:
    """Compares; what only depends on the tables is kept."""

    def __init__(self) -> None:
        self._rules: tuple[int, Rules] = (0, rules_of(()))
        self._every: object = None
        self._controls = Controls()

    def compared(self, sample: Sample, spans: list[Cells], answers: Answers, since_ns: Ints) -> Compared:
        """Every cell. `since_ns` is since when its expectation is what it is, ALWAYS where it was never another.

        Nearly all cells should be open and lose nothing: only the others are looked at closely.
        """
        if self._every is not answers.every or self._rules[0] != len(answers.every):
            self._every, self._rules = answers.every, (len(answers.every), rules_of(tuple(answers.every)))
        self._controls.know(sample.tables)
        whole = _plain(sample, spans[0].reason)
        some = np.flatnonzero((answers.answer != Expected.ALLOW) | (sample.lost[-1] > 0) | (since_ns > ALWAYS))
        if len(some):
            part = self._closely(sample.part(some), spans[0].reason[some], answers.part(some), since_ns[some], sample)
            for name in Compared.__dataclass_fields__:
                getattr(whole, name)[some] = getattr(part, name)
        return whole

    def _closely(self, sample: Sample, reason: Small, answers: Answers, since_ns: Ints, all_: Sample) -> Compared:
        """Some cells, of all of which those may be controls."""
        rules, number = self._rules[1], answers.number
        failures, of = rules.failures[number], rules.of[number]
        reached, refused = zip(*(_answered(sample, span) for span in range(len(sample.spans))), strict=True)
        chosen, sent = _chosen(sample, failures, since_ns)
        opened, said = _pick(chosen, reached), _pick(chosen, refused)
        deny = answers.answer == Expected.DENY
        open_ = np.where(deny, opened + np.where(rules.refusal_leaks[number], said, 0), opened)
        bad = np.where(deny, open_, sent - opened)
        confirmed = (bad >= failures) & (bad * of >= failures * sent)
        lost = sample.lost[sample.round]
        lossy = (lost >= FEW) & (lost > rules.loss[number] * np.maximum(sample.sent[sample.round], 1))
        judged = (reason <= Reason.NOTHING_SENT) & (chosen >= 0)
        allow, denied = judged & (answers.answer == Expected.ALLOW), judged & deny
        asking = (judged & ~deny & confirmed) | (denied & (open_ == 0))
        proven = self._controls.of(sample, asking, deny, all_)
        verdict = np.full(len(sample), Verdict.UNKNOWN, np.uint8)
        verdict[allow] = np.where(lossy[allow], Verdict.DEGRADED, Verdict.OK)
        verdict[allow & confirmed] = np.where(proven[allow & confirmed] > 0, Verdict.BROKEN, Verdict.TARGET_DOWN)
        closed = denied & (open_ == 0)
        verdict[closed] = np.where(proven[closed] > 0, Verdict.OK, Verdict.UNVERIFIABLE)
        verdict[denied & confirmed] = Verdict.LEAK
        grace = (since_ns > ALWAYS) & (sample.now_ns - since_ns < rules.grace_ns[number])
        verdict[grace & (verdict != Verdict.OK)] = Verdict.UNKNOWN
        recent = np.array([sample.now_ns - span.start_ns <= RECENT_NS for span in sample.spans], np.bool_)
        suspect = (allow | denied) & ~confirmed & (bad > 0) & (deny | (bad == sent)) & recent[chosen] & ~grace
        kept = _kept(sample, denied & ((verdict == Verdict.LEAK) | suspect), denied, reached)
        verdict[kept], suspect = Verdict.UNKNOWN, suspect & ~kept
        excluded = np.isin(reason, EXCLUDED)
        verdict[excluded] = Verdict.EXCLUDED
        span = np.maximum(chosen, 0)
        return Compared(verdict, proven, span, sent, opened, said, suspect & ~excluded, grace & ~excluded)


def _plain(sample: Sample, reason: Small) -> Compared:
    """Of cells that should be open and lose nothing."""
    size, last = len(sample), len(sample.spans) - 1
    latest = sample.sent[sample.round]
    sent = np.where(latest > 0, latest, sample.sent[last]).astype(np.int32)
    verdict = np.where((reason <= Reason.NOTHING_SENT) & (sent > 0), Verdict.OK, Verdict.UNKNOWN).astype(np.uint8)
    verdict[np.isin(reason, EXCLUDED)] = Verdict.EXCLUDED
    return Compared(
        verdict,
        np.zeros(size, np.uint8),
        np.where(latest > 0, sample.round, last).astype(np.uint8),
        sent,
        sent.copy(),
        np.zeros(size, np.int32),
        np.zeros(size, np.bool_),
        np.zeros(size, np.bool_),
    )


def _kept(sample: Sample, open_: Mask, denied: Mask, reached: tuple[Ints, ...]) -> Mask:
    """Open flows that were established before: most plugins let them go on, and only close the path to another.

    New connections between the same two ends are closed then, by their latest probes.
    """
    tables, which = sample.tables, np.zeros(len(sample), np.bool_)
    flows = np.flatnonzero(open_ & np.isin(tables.kind[sample.ask], FLOWS))
    if not len(flows):
        return which
    key = sample.source.astype(np.int64) * (len(tables.targets) + 1) + tables.named[sample.target]
    fresh = np.flatnonzero(denied & ~np.isin(tables.kind[sample.ask], FLOWS) & np.isin(key, key[flows]))
    latest = np.zeros(len(fresh), np.int64)
    seen = np.zeros(len(fresh), np.bool_)
    for span, through in enumerate(reached):
        now = ~seen & (sample.sent[span][fresh] > 0)
        latest[now], seen = through[fresh][now], seen | now
    closed, opened = key[fresh[seen & (latest == 0)]], key[fresh[seen & (latest > 0)]]
    which[flows] = np.isin(key[flows], closed) & ~np.isin(key[flows], opened)
    return which


def _answered(sample: Sample, span: int) -> tuple[Ints, Ints]:
    """How many probes of a span were answered in whatever way, and how many were refused."""
    words, size = sample.words[span], len(sample)
    beyond = np.isin(words.code, ANSWERED)
    reached = sample.sent[span] - sample.lost[span] + _summed(words, beyond, size)
    return np.minimum(reached, sample.sent[span]), _summed(words, words.code == int(Outcome.REFUSED), size)


def _summed(words: Words, which: Mask, size: int) -> Ints:
    return np.bincount(words.cell[which], words.value[which], size).astype(np.int64)


def _chosen(sample: Sample, failures: Ints, since_ns: Ints) -> tuple[Ints, Ints]:
    """The shortest span since the expectation holds that has enough probes, else the longest such; -1 for none; its probes."""
    chosen, sent = np.full(len(sample), -1, np.int64), np.zeros(len(sample), np.int64)
    for number, span in enumerate(sample.spans):
        usable = (since_ns <= span.start_ns) & (sample.sent[number] > 0) & (sent < failures)
        chosen[usable], sent[usable] = number, sample.sent[number][usable]
    return chosen, sent


def _pick(chosen: Ints, columns: tuple[Ints, ...]) -> Ints:
    result = np.zeros(len(chosen), np.int64)
    for number, column in enumerate(columns):
        here = chosen == number
        result[here] = column[here]
    return result

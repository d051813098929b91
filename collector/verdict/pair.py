"""Each cell against what is expected of it: POLICY's table, for all cells at once.

In: a sample, its cells by span, what is expected, and since when. Out: a verdict per cell and what it rests on. A closed path
is only as it should be where a control proves that its target listens; an open one that fails is only broken where somebody
else gets through. A mismatch is not claimed before enough probes show it, nor while a change may still be on its way.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.expectation.expected import Expectation
from collector.verdict.cells import KINDS, Cells, Expected, Ints, Mask, Reason, Small
from collector.verdict.expecting import Answers, Question, question
from collector.verdict.sample import Sample, Tables, Words
from wire.outcome import Outcome
from wire.path import Family, Kind

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


class Control(IntEnum):
    """What proves that a target listens."""

    NONE = 0
    KUBELET = 1
    """Its pod is ready, and has a readiness probe on that very port."""
    VANTAGE = 2
    """Somebody got through to it in the same round."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One element a cell."""

    verdict: Small
    control: Small
    """`Control`."""
    span: Small
    """The span that it rests on."""
    sent: Ints
    """Of that span."""
    reached: Ints
    """Of these: answered in whatever way."""
    refused: Ints
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
        self._tables: Tables | None = None
        self._rules: tuple[int, Rules] = (0, rules_of(()))
        self._every: object = None

    def compared(self, sample: Sample, spans: list[Cells], answers: Answers, since_ns: Ints) -> Compared:
        """Every cell. `since_ns` is since when its expectation is what it is, ALWAYS where it was never another."""
        self._know(sample.tables, answers)
        rules, number = self._rules[1], answers.number
        failures, of = rules.failures[number], rules.of[number]
        reached, refused = zip(*(_answered(sample, span) for span in range(len(spans))), strict=True)
        chosen, sent = _chosen(sample, failures, since_ns)
        opened, said = _pick(chosen, reached), _pick(chosen, refused)
        deny = answers.answer == Expected.DENY
        open_ = np.where(deny, opened + np.where(rules.refusal_leaks[number], said, 0), opened)
        bad = np.where(deny, open_, sent - opened)
        confirmed = (bad >= failures) & (bad * of >= failures * sent)
        control = self._controls(sample, spans, reached)
        round_ = sample.round
        lost = sample.lost[round_]
        lossy = (lost >= FEW) & (lost > rules.loss[number] * np.maximum(sample.sent[round_], 1))
        proven = np.where(deny, control[1], control[0])
        verdict = np.full(len(sample), Verdict.UNKNOWN, np.uint8)
        judged = (spans[0].reason == Reason.JUDGED) | (spans[0].reason == Reason.NOTHING_SENT)
        judged &= (sent > 0) & (chosen >= 0)
        allow = judged & (answers.answer == Expected.ALLOW)
        verdict[allow] = np.where(lossy[allow], Verdict.DEGRADED, Verdict.OK)
        verdict[allow & confirmed] = np.where(proven[allow & confirmed] > 0, Verdict.BROKEN, Verdict.TARGET_DOWN)
        denied = judged & deny
        verdict[denied & (open_ == 0)] = np.where(proven[denied & (open_ == 0)] > 0, Verdict.OK, Verdict.UNVERIFIABLE)
        verdict[denied & confirmed] = Verdict.LEAK
        grace = (since_ns > ALWAYS) & (sample.now_ns - since_ns < rules.grace_ns[number])
        verdict[grace & (verdict != Verdict.OK)] = Verdict.UNKNOWN
        recent = np.array([sample.now_ns - span.start_ns <= RECENT_NS for span in sample.spans], np.bool_)
        suspect = (allow | denied) & ~confirmed & (bad > 0) & (deny | (bad == sent)) & recent[chosen] & ~grace
        kept = self._kept(sample, denied & ((verdict == Verdict.LEAK) | suspect), denied, reached)
        verdict[kept], suspect = Verdict.UNKNOWN, suspect & ~kept
        excluded = np.isin(spans[0].reason, (Reason.SETTLING, Reason.LEAVING, Reason.NOT_READY))
        verdict[excluded] = Verdict.EXCLUDED
        return Compared(
            verdict,
            proven.astype(np.uint8),
            np.maximum(chosen, 0).astype(np.uint8),
            sent,
            opened,
            said,
            suspect & ~excluded,
            grace & ~excluded,
        )

    def _know(self, tables: Tables, answers: Answers) -> None:
        if self._every is not answers.every or self._rules[0] != len(answers.every):
            self._every, self._rules = answers.every, (len(answers.every), rules_of(tuple(answers.every)))
        if self._tables is tables:
            return
        self._tables = tables
        names: dict[str, int] = {}
        self._name = np.array([names.setdefault(end.name, len(names)) for end in tables.targets.all], np.int64)
        self._names = names
        self._questions: dict[Question, int] = {}
        asked = [question(one) for one in tables.asks]
        self._question = np.array([self._questions.setdefault(one, len(self._questions)) for one in asked], np.int64)

    def _kept(self, sample: Sample, open_: Mask, denied: Mask, reached: tuple[Ints, ...]) -> Mask:
        """Open flows that were established before: most plugins let them go on, and only close the path to another.

        New connections between the same two ends are closed then, by their latest probes.
        """
        tables, which = sample.tables, np.zeros(len(sample), np.bool_)
        flows = np.flatnonzero(open_ & np.isin(tables.kind[sample.ask], FLOWS))
        if not len(flows):
            return which
        key = sample.source * (len(self._names) + 1) + self._name[sample.target]
        fresh = np.flatnonzero(denied & ~np.isin(tables.kind[sample.ask], FLOWS) & np.isin(key, key[flows]))
        latest = np.zeros(len(fresh), np.int64)
        seen = np.zeros(len(fresh), np.bool_)
        for span, through in enumerate(reached):
            now = ~seen & (sample.sent[span][fresh] > 0)
            latest[now], seen = through[fresh][now], seen | now
        closed, opened = key[fresh[seen & (latest == 0)]], key[fresh[seen & (latest > 0)]]
        which[flows] = np.isin(key[flows], closed) & ~np.isin(key[flows], opened)
        return which

    def _controls(self, sample: Sample, spans: list[Cells], reached: tuple[Ints, ...]) -> tuple[Ints, Ints]:
        """`Control` of each cell were it open, which asks for one of this moment, and were it closed: one of the round."""
        key = self._name[sample.target] * max(1, len(self._questions)) + self._question[sample.ask]
        size = max(1, len(self._names) * len(self._questions))
        kubelet = self._kubelet(sample, size)[key]
        round_ = sample.round
        live: list[Ints] = []
        for span in (0, round_):
            through = (reached[span] > 0) & (spans[span].reason == Reason.JUDGED)
            live.append(np.bincount(key[through], minlength=size)[key] - through)
        asked = np.bincount(key[(sample.sent[0] > 0)], minlength=size)[key] > (sample.sent[0] > 0)
        seen = np.where(kubelet, Control.KUBELET, Control.NONE)
        now = np.where(asked, live[0], live[1])
        return np.where(now > 0, Control.VANTAGE, seen), np.where(live[1] > 0, Control.VANTAGE, seen)

    def _kubelet(self, sample: Sample, size: int) -> Mask:
        """Which targets and ports the kubelet sees to be ready."""
        result = np.zeros(size, np.bool_)
        for pod in sample.snapshot.pods:
            number = self._names.get(f"pod/{pod.namespace}/{pod.name}")
            if number is None or not pod.ready:
                continue
            for question_ in (Question("TCP", port, family) for port in pod.probed_ports for family in Family):
                if (asked := self._questions.get(question_)) is not None:
                    result[number * len(self._questions) + asked] = True
        return result


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

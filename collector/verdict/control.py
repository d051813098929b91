"""What proves that a target listens, strongest first: somebody who gets through to it, or the kubelet's readiness probe.

In: the cells that ask for a control, and all cells of the same moment. Out: the best control of each.
"""

from enum import IntEnum

import numpy as np

from collector.verdict.cells import Ints, Mask, Reason, Small
from collector.verdict.expecting import Question, question
from collector.verdict.sample import Sample, Tables
from wire.path import Family


class Control(IntEnum):
    """What proves that a target listens."""

    NONE = 0
    KUBELET = 1
    """Its pod is ready, and has a readiness probe on that very port."""
    VANTAGE = 2
    """Somebody got through to it in the same round."""


class Controls:
    """See the module; what only depends on the tables is kept."""

    def __init__(self) -> None:
        self._tables: Tables | None = None
        self._names: dict[str, int] = {}
        self._questions: dict[Question, int] = {}

    def know(self, tables: Tables) -> None:
        """Take the tables that numbers stand for."""
        if self._tables is tables:
            return
        self._tables = tables
        self._names = {}
        for end, number in zip(tables.targets.all, tables.named.tolist(), strict=True):
            self._names.setdefault(end.name, number)
        self._questions = {}
        asked = [question(one) for one in tables.asks]
        self._question = np.array([self._questions.setdefault(one, len(self._questions)) for one in asked], np.int64)

    def of(self, sample: Sample, asking: Mask, deny: Mask, all_: Sample) -> Small:
        """`Control` of the cells that ask: for one of this moment where the path should be open, else for one of the round."""
        result = np.zeros(len(sample), np.uint8)
        if not asking.any():
            return result
        size = len(all_.tables.targets) * max(1, len(self._questions))
        key, own = self._key(all_), self._key(sample)
        believed = all_.reason == Reason.JUDGED
        through = [believed & (all_.sent[span] > all_.lost[span]) for span in (0, all_.round)]
        mine = [sample.sent[span] > sample.lost[span] for span in (0, all_.round)]
        live = [np.bincount(key[one], minlength=size)[own] > self_ for one, self_ in zip(through, mine, strict=True)]
        asked = np.bincount(key[all_.sent[0] > 0], minlength=size)[own] > (sample.sent[0] > 0)
        open_now = np.where(asked & ~deny, live[0], live[1])
        found = np.where(open_now, Control.VANTAGE, np.where(self._kubelet(sample, size)[own], Control.KUBELET, Control.NONE))
        result[asking] = found[asking]
        return result

    def _key(self, sample: Sample) -> Ints:
        """A number for each target and port."""
        result: Ints = sample.tables.named[sample.target] * max(1, len(self._questions)) + self._question[sample.ask]
        return result

    def _kubelet(self, sample: Sample, size: int) -> Mask:
        """Which targets and ports the kubelet sees to be ready."""
        result = np.zeros(size, np.bool_)
        for pod in sample.snapshot.pods:
            number = self._names.get(f"pod/{pod.namespace}/{pod.name}")
            if number is None or not pod.ready:
                continue
            for one in (Question("TCP", port, family) for port in pod.probed_ports for family in Family):
                if (asked := self._questions.get(one)) is not None:
                    result[number * len(self._questions) + asked] = True
        return result

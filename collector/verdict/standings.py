"""How it stands with declarations, as it is written at their objects.

In: a judgement. Out: a Standing of each declaration, with its conditions, counts, and a few paths that show why.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from collector.discovery.standings import MAX_EXAMPLES, Condition, Example, Standing
from collector.verdict.comparison import Comparison
from collector.verdict.explained import rows
from collector.verdict.judgement import Judgement
from collector.verdict.pair import Verdict
from collector.verdict.status import Status

COUNTED: Final = {
    "ok": (Verdict.OK, Verdict.DEGRADED),
    "broken": (Verdict.BROKEN,),
    "leaking": (Verdict.LEAK,),
    "targetDown": (Verdict.TARGET_DOWN,),
    "unverifiable": (Verdict.UNVERIFIABLE,),
    "unknown": (Verdict.UNKNOWN,),
    "grace": (Verdict.EXCLUDED,),
}
"""The word of a status for each verdict."""
TELLING: Final = (Verdict.LEAK, Verdict.BROKEN, Verdict.TARGET_DOWN, Verdict.UNVERIFIABLE)
"""Verdicts that are worth an example, the worst first."""
REASONS: Final = {"True": "Holds", "False": "DoesNotHold", "Unknown": "NotKnown"}


def standings(judgement: Judgement) -> list[Standing]:
    """Of every declaration, as long as anything is judged at all."""
    one = judgement.comparison
    if one is None:
        return []
    cells = _examples(one, judgement.expectations)
    chosen = [place for places in cells.values() for place in places]
    told = dict(zip(chosen, rows(one, np.array(chosen, np.int64)), strict=True))
    return [
        _standing(status, [told[place] for place in cells.get((status.kind, status.name), ())])
        for status in judgement.expectations
    ]


def _standing(status: Status, told: Sequence[Mapping[str, Any]]) -> Standing:
    namespace, _, name = status.name.rpartition("/")
    counts = {word: sum(status.counts[verdict] for verdict in verdicts) for word, verdicts in COUNTED.items()}
    return Standing(
        status.kind,
        namespace,
        name,
        tuple(
            Condition(condition.type, condition.status, REASONS[condition.status], condition.message)
            for condition in status.conditions
        ),
        {"pairs": sum(counts.values()), **counts},
        tuple(Example(row["from"]["vantage"], row["to"]["name"], _port(row), row["verdict"], row["because"]) for row in told),
    )


def _port(row: Mapping[str, Any]) -> str:
    return f"{row['kind']} {row['port']}".removesuffix(" 0")


def _examples(one: Comparison, statuses: Iterable[Status]) -> Mapping[tuple[str, str], Sequence[int]]:
    """Cells of each declaration that are worth being named. All cells are looked at once, whatever number of them there is."""
    bad = {verdict: np.flatnonzero(one.compared.verdict == verdict) for verdict in TELLING}
    found: dict[tuple[str, str], list[int]] = {}
    for status in statuses:
        own = [number for number, entry in enumerate(one.answers.every) if entry.name == status.name]
        places: list[int] = []
        for verdict in TELLING:
            if status.counts[verdict] and len(places) < MAX_EXAMPLES:
                places += bad[verdict][np.isin(one.answers.number[bad[verdict]], own)].tolist()
        if places:
            found[status.kind, status.name] = places[:MAX_EXAMPLES]
    return found

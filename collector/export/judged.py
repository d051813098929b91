"""What a scrape holds of verdicts: what is wrong comes before all else, since the cap must never take it away.

What only describes comes late: namespaces by namespaces may be many.
"""

from typing import Final

from collector.export import names
from collector.export.text import Exposition, Key
from collector.verdict.judgement import DELAY_SECONDS, Judgement
from collector.verdict.pair import Verdict
from collector.verdict.status import Status, mismatching

SECOND: Final = 1e9


def add_judgement(text: Exposition, judgement: Judgement, *, now_ns: int) -> None:
    """What is wrong, how much there has been, and how fresh the judgement is."""
    open_: dict[Key, int] = {
        (
            *(one.id, one.kind, one.component, one.layer.value, one.direction, one.effect, one.severity),
            *(one.src_namespace, one.dst_namespace, one.owner, one.expectation, one.inhibited_by),
        ): 1
        for one in judgement.incidents
    }
    text.add(names.INCIDENT_ACTIVE, list(open_), list(open_.values()))
    text.add(names.INCIDENTS, sorted(judgement.opened), [judgement.opened[key] for key in sorted(judgement.opened)])
    if judgement.at_ns is None:
        return
    text.add(names.JUDGING_AGE, [()], [(now_ns - judgement.at_ns) / SECOND])
    text.add(names.JUDGING_SECONDS, [()], [judgement.took_seconds])
    wrong = mismatching(judgement.pairs)
    text.add(names.MISMATCHES, [key for key, _ in wrong], [count for _, count in wrong])
    _add_expectations(text, judgement.expectations)
    delays = [((kind,), counts, total) for kind, (counts, total) in sorted(judgement.delays.items())]
    text.add_histogram(names.ENFORCEMENT_DELAY, DELAY_SECONDS, delays)
    text.add(names.CNI_PROFILE, [(judgement.profile, judgement.detected)], [1])
    text.add(
        names.POLICY_CANARY, sorted(judgement.canaries), [int(judgement.canaries[key]) for key in sorted(judgement.canaries)]
    )
    unknown = sorted(judgement.unknown.items())
    text.add(names.EVALUATOR_UNKNOWN, [(word,) for word, _ in unknown], [count for _, count in unknown])


def _add_expectations(text: Exposition, listed: tuple[Status, ...]) -> None:
    keys: list[Key] = [(*_named(one.name), one.severity, one.owner) for one in listed]
    text.add(names.EXPECTATION_SATISFIED, keys, [int(one.satisfied) for one in listed])
    by_verdict = [
        ((*key, verdict.word), one.counts[verdict])
        for key, one in zip(keys, listed, strict=True)
        for verdict in Verdict
        if one.counts[verdict]
    ]
    text.add(names.EXPECTATION_PAIRS, [key for key, _ in by_verdict], [count for _, count in by_verdict])


def _named(name: str) -> tuple[str, str]:
    """Namespace, empty for a cluster-scoped one, and name."""
    namespace, _, own = name.rpartition("/")
    return namespace, own


def add_reachability(text: Exposition, judgement: Judgement) -> None:
    """What should be open between namespaces, what is, and how many paths have which verdict."""
    reach = sorted(judgement.reach.items())
    text.add(names.REACHABILITY_EXPECTED, [key for key, _ in reach], [one.expected for _, one in reach])
    text.add(names.REACHABILITY_OBSERVED, [key for key, _ in reach], [one.observed for _, one in reach])
    by_verdict = [
        ((*spaces, verdict.word), counts[verdict])
        for spaces, counts in sorted(judgement.pairs.items())
        for verdict in Verdict
        if counts[verdict]
    ]
    text.add(names.REACHABILITY_VERDICT, [key for key, _ in by_verdict], [count for _, count in by_verdict])

"""What a scrape holds of verdicts: incidents that are open, before all else, since the cap must never take one away."""

from collector.export import names
from collector.export.text import Exposition, Key
from collector.verdict.judgement import Judgement

SECOND = 1e9


def add_judgement(text: Exposition, judgement: Judgement, *, now_ns: int) -> None:
    """Incidents that are open, how many there have been, and how fresh the judgement is."""
    open_: dict[Key, int] = {
        (
            *(one.id, one.kind, one.component, one.layer.value, one.direction, one.effect, one.severity),
            *(one.src_namespace, one.dst_namespace, one.owner, one.expectation, one.inhibited_by),
        ): 1
        for one in judgement.incidents
    }
    text.add(names.INCIDENT_ACTIVE, list(open_), list(open_.values()))
    text.add(names.INCIDENTS, sorted(judgement.opened), [judgement.opened[key] for key in sorted(judgement.opened)])
    if judgement.at_ns is not None:
        text.add(names.JUDGING_AGE, [()], [(now_ns - judgement.at_ns) / SECOND])
        text.add(names.JUDGING_SECONDS, [()], [judgement.took_seconds])

"""Incidents as JSON. Pure: a judgement on the collector's own clock comes in, values that can be written as JSON go out."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from collector.alerts import alert_of, runbook_of
from collector.moment import written
from collector.notify.deliveries import Delivery
from collector.verdict.incident import Incident
from collector.verdict.judgement import Closed, Judgement

Answer = dict[str, Any]
TOLD_WITHIN: Final = 3600.0
"""Seconds after its end within which a receiver that was away is told; later is of the next incident with the same id."""


class Written:
    """Writes judgements; `epoch_ns` is the wall clock at zero of the collector's own, `deliveries` knows who was told."""

    def __init__(self, *, epoch_ns: int, deliveries: Callable[[str], Iterable[Delivery]] = lambda _: ()) -> None:
        self._epoch_ns = epoch_ns
        self._deliveries = deliveries

    def judgement(self, judgement: Judgement, now_ns: int | None = None) -> Answer:
        """How it stands, with every incident that is open, and the last ones that are over; `now_ns` is of the same clock."""
        at_ns = judgement.at_ns
        age = None if at_ns is None or now_ns is None else round((now_ns - at_ns) / 1e9, 3)
        return {
            "version": 1,
            "state": judgement.state,
            "sentence": judgement.sentence,
            "at": None if at_ns is None else self._time(at_ns),
            "age_seconds": age,
            "incidents": [self.incident(one) for one in judgement.incidents],
            "pending": [self.incident(one) for one in judgement.pending],
            "closed": [self.closed(one) for one in judgement.closed],
        }

    def whole(self, judgement: Judgement, name: str, since: str = "") -> Answer | None:
        """One incident with its evidence, by its id and when it began, or the latest one; None where there is none."""
        found: list[tuple[Incident, int | None]] = [(one, None) for one in (*judgement.incidents, *judgement.pending)]
        found += [(one.incident, one.closed_ns) for one in judgement.closed]
        for one, closed_ns in found:
            if one.id == name and since in {"", self._time(one.since_ns)}:
                return self.all_of(one, closed_ns)
        return None

    def all_of(self, one: Incident, closed_ns: int | None) -> Answer:
        """One incident with its evidence and its timeline."""
        return {
            **self.incident(one, closed_ns=closed_ns),
            "evidence": [seen._asdict() for seen in one.evidence],
            "against": one.against,
            "timeline": self._timeline(one, closed_ns),
        }

    def _timeline(self, one: Incident, closed_ns: int | None) -> list[Answer]:
        steps: list[Answer] = [{"at": self._time(at_ns), "what": what, "words": words} for at_ns, what, words in one.steps]
        first, last = self._wall(one.since_ns), None if closed_ns is None else self._wall(closed_ns) + TOLD_WITHIN
        steps += [
            {
                "at": written(told.at),
                "what": "notified" if told.taken else "notification refused",
                "words": f"{told.receiver}: {told.status}",
            }
            for told in self._deliveries(one.id)
            if told.at >= first and (last is None or told.at <= last)
        ]
        return sorted(steps, key=lambda step: str(step["at"]))

    def closed(self, one: Closed) -> Answer:
        """One incident that is over."""
        return self.incident(one.incident, closed_ns=one.closed_ns)

    def incident(self, one: Incident, *, closed_ns: int | None = None) -> Answer:
        """One incident without its evidence."""
        alert = alert_of(one.kind, one.effect)
        return {
            "id": one.id,
            "kind": one.kind,
            "component": one.component,
            "layer": one.layer.value,
            "direction": one.direction,
            "effect": one.effect,
            "severity": one.severity,
            "phase": one.phase.value,
            "since": self._time(one.since_ns),
            "seen": self._time(one.seen_ns),
            "closed": None if closed_ns is None else self._time(closed_ns),
            "loss": round(one.loss, 6),
            "sent": one.sent,
            "lost": one.lost,
            "witnesses": one.witnesses,
            "of_witnesses": one.of_witnesses,
            "nodes": one.nodes,
            "paths": one.paths,
            "namespaces": one.namespaces,
            "src_namespace": one.src_namespace,
            "dst_namespace": one.dst_namespace,
            "owner": one.owner,
            "expectation": one.expectation,
            "inhibited_by": one.inhibited_by,
            "sentence": one.sentence,
            "alert": alert,
            "runbook": runbook_of(alert),
        }

    def _wall(self, at_ns: int) -> float:
        """A moment of the collector's own clock in Unix seconds."""
        return (self._epoch_ns + at_ns) / 1e9

    def _time(self, at_ns: int) -> str:
        return written(self._wall(at_ns))

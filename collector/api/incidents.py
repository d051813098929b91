"""Incidents as JSON. Pure: a judgement on the collector's own clock comes in, values that can be written as JSON go out."""

from datetime import UTC, datetime
from typing import Any

from collector.alerts import alert_of, runbook_of
from collector.verdict.incident import Incident
from collector.verdict.judgement import Closed, Judgement

Answer = dict[str, Any]


class Written:
    """Writes judgements; `epoch_ns` is the wall clock's time at zero of the collector's own."""

    def __init__(self, *, epoch_ns: int) -> None:
        self._epoch_ns = epoch_ns

    def judgement(self, judgement: Judgement) -> Answer:
        """How it stands, with every incident that is open, and the last ones that are over."""
        return {
            "version": 1,
            "state": judgement.state,
            "sentence": judgement.sentence,
            "at": None if judgement.at_ns is None else self._time(judgement.at_ns),
            "incidents": [self.incident(one) for one in judgement.incidents],
            "pending": [self.incident(one) for one in judgement.pending],
            "closed": [self.closed(one) for one in judgement.closed],
        }

    def whole(self, judgement: Judgement, name: str) -> Answer | None:
        """One incident with its evidence, by its id; None where there is none."""
        found: list[tuple[Incident, int | None]] = [(one, None) for one in (*judgement.incidents, *judgement.pending)]
        found += [(one.incident, one.closed_ns) for one in judgement.closed]
        for one, closed_ns in found:
            if one.id == name:
                evidence = [seen._asdict() for seen in one.evidence]
                whole = {**self.incident(one, closed_ns=closed_ns), "evidence": evidence, "against": one.against}
                return {"version": 1, "incident": whole}
        return None

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

    def _time(self, at_ns: int) -> str:
        """RFC 3339, in milliseconds."""
        when = datetime.fromtimestamp((self._epoch_ns + at_ns) / 1e9, UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

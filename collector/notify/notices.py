"""Which notifications follow from incidents: one when an incident opens, one when it is over, and none in between. Pure.

In: the open incidents of each pass, and what was told before. Out: news, and all that is told and not over, which Alertmanager
wants to hear again and again. Labels stay what they were when an incident was told first. An incident that a wider one explains
is not told, nor is it for a while after that one is over; one that was told is followed to its end.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from collector.alerts import SUMMARIES, alert_of
from collector.moment import written
from collector.receivers import SEVERITIES
from collector.template import Value
from collector.verdict.hold import Phase
from collector.verdict.incident import Incident

CALM_NS: Final = 60 * 10**9
"""How long an incident must have been on its own, after a wider one explained it, before it is told."""
LONGEST: Final = {"sentence": 1000, "label": 253}
"""Most characters of what an incident says, and of any of its names."""
RECALLED_NS: Final = 240 * 10**9
"""How long what the process before has told counts as open though it is not seen: longer than anything takes to be found."""
TOLD: Final = (Phase.FIRING, Phase.RESOLVING)


class Status(StrEnum):
    """What a notification says."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Notice(NamedTuple):
    """What there is to tell of one incident, as it is now. Every text is printable and not long."""

    id: str
    status: Status
    alert: str
    labels: Mapping[str, str]
    """Those of the alert, without empty ones."""
    sentence: str
    since: float
    """When it began, in Unix seconds."""
    closed: float | None
    """When it was over."""
    figures: Mapping[str, Value]
    """Numbers of it."""

    @property
    def severity(self) -> int:
        """Its place among the severities, from the least."""
        word = self.labels.get("severity", "")
        return SEVERITIES.index(word) if word in SEVERITIES else len(SEVERITIES) - 1


class Ledger(NamedTuple):
    """What is remembered from pass to pass."""

    told: Mapping[str, Notice] = {}
    """What was told and is not over, by the incident's id."""
    explained: Mapping[str, int] = {}
    """When an open incident was last explained by a wider one, by its id."""
    recalled: Mapping[str, int | None] = {}
    """What the process before has told and this one has not seen yet, by its id: until when it counts as open, None before the
    first pass."""


class Change(NamedTuple):
    """What a pass comes to."""

    news: Sequence[Notice]
    """What is to be told now."""
    ledger: Ledger


def followed(incidents: Iterable[Incident], ledger: Ledger, now_ns: int, *, now: float, cluster: str = "") -> Change:
    """After a pass; what is not among the incidents is over. `now_ns` is on their clock, `now` the same in Unix seconds."""
    told: dict[str, Notice] = {}
    recalled: dict[str, int | None] = {}
    explained: dict[str, int] = {}
    news: list[Notice] = []
    for incident in incidents:
        if incident.phase not in TOLD:
            continue
        before = ledger.told.get(incident.id)
        if before is not None:
            told[incident.id] = before._replace(sentence=_said(incident), figures=_figures(incident))
            continue
        last = now_ns if incident.inhibited_by else ledger.explained.get(incident.id)
        if last is not None and now_ns - last < CALM_NS:
            explained[incident.id] = last
        elif incident.phase is Phase.FIRING:
            told[incident.id] = notice = _notice(incident, now_ns, now, cluster)
            news.append(notice)
    for name, limit_ns in ledger.recalled.items():
        until_ns = now_ns + RECALLED_NS if limit_ns is None else limit_ns
        if name not in told and now_ns < until_ns:
            told[name], recalled[name] = ledger.told[name], until_ns
    news += [
        notice._replace(status=Status.RESOLVED, closed=max(now, notice.since))
        for notice in ledger.told.values()
        if notice.id not in told
    ]
    return Change(news, Ledger(told, explained, recalled))


def values(notice: Notice, *, runbook: str, url: str) -> dict[str, Value]:
    """What a template has places for, see collector.receivers.VALUES."""
    end = notice.closed
    return {
        **dict.fromkeys(("owner", "expectation", "src_namespace", "dst_namespace", "direction", "cluster"), ""),
        **{name: text for name, text in notice.labels.items() if name != "alertname"},
        **notice.figures,
        "status": notice.status.value,
        "alert": notice.alert,
        "summary": SUMMARIES.get(notice.alert, notice.alert),
        "sentence": notice.sentence,
        "since": written(notice.since),
        "closed": None if end is None else written(end),
        "seconds": None if end is None else round(end - notice.since),
        "runbook": runbook,
        "url": url,
    }


def printable(text: str, most: int) -> str:
    """A text without anything that steers a terminal or turns a line around, and not longer than that."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:most])
    return shown if len(text) <= most else f"{shown[: most - 3]}..."


def _notice(incident: Incident, now_ns: int, now: float, cluster: str) -> Notice:
    alert = alert_of(incident.kind, incident.effect)
    words = {
        "alertname": alert,
        "id": incident.id,
        "kind": incident.kind,
        "component": incident.component,
        "layer": incident.layer.value,
        "direction": incident.direction,
        "effect": incident.effect,
        "severity": incident.severity,
        "src_namespace": incident.src_namespace,
        "dst_namespace": incident.dst_namespace,
        "owner": incident.owner,
        "expectation": incident.expectation,
        "cluster": cluster,
    }
    labels = {name: printable(word, LONGEST["label"]) for name, word in words.items() if word}
    since = now - max(0, now_ns - incident.since_ns) / 1e9
    return Notice(incident.id, Status.FIRING, alert, labels, _said(incident), since, None, _figures(incident))


def _said(incident: Incident) -> str:
    return printable(incident.sentence, LONGEST["sentence"])


def _figures(incident: Incident) -> dict[str, Value]:
    return {
        "loss": incident.loss,
        "sent": incident.sent,
        "lost": incident.lost,
        "witnesses": incident.witnesses,
        "of_witnesses": incident.of_witnesses,
        "nodes": incident.nodes,
        "paths": incident.paths,
        "namespaces": incident.namespaces,
    }

"""Judges what the collector, Alertmanager and the receiver said while a scenario ran.

In: what is expected, and sightings in the order of their times. Out: findings. An incident counts when it fires: what is
pending is told to nobody. Each incident that no expectation wants is a false one, and so is a second one for the same fault.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.expect import SHOWN, Finding
from lab.expectation import SECOND
from lab.expected import Expected
from lab.outcomes import AlertExpectation, Happening, IncidentExpectation, Span, VerdictExpectation, span

Incident = Mapping[str, Any]
OPEN = ("firing", "resolving", "kept")
EARLY = 0.5
"""Seconds by which something may be seen before its cause is in force all over: the lab breaks one thing after another."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was said at one moment, by incident, by path or by alert."""

    at: float
    """Seconds of the scenario."""
    said: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Said:
    """All that was said during one run."""

    incidents: list[Sighting] = field(default_factory=list)
    verdicts: list[Sighting] = field(default_factory=list)
    alerts: list[Sighting] = field(default_factory=list)
    notifications: list[Mapping[str, Any]] = field(default_factory=list)
    """What the receiver got from the collector, in order."""


@dataclass(frozen=True, slots=True)
class Match:
    """An incident that an expectation wants."""

    incident: Incident
    seconds: float
    """From the fault to the first sighting."""


@dataclass(slots=True)
class Matches:
    """Which incidents are whose."""

    of: dict[int, Match] = field(default_factory=dict)
    """By the place of the expectation."""
    false: list[Incident] = field(default_factory=list)


def matched(wanted: Sequence[tuple[IncidentExpectation, Span]], sightings: Sequence[Sighting]) -> Matches:
    """Give each incident to at most one expectation, and each expectation the first that fits in time."""
    found = Matches()
    for incident, at in _first_seen(sightings):
        for place, (expected, when) in enumerate(wanted):
            in_time = when.since / SECOND - EARLY <= at <= when.seen_by / SECOND
            if place not in found.of and expected.fits(incident) and in_time:
                found.of[place] = Match(incident, max(0.0, at - when.since / SECOND))
                break
        else:
            found.false.append(incident)
    return found


def judge_incident(expected: IncidentExpectation, when: Span, match: Match | None, sightings: Sequence[Sighting]) -> Finding:
    """Judge one expected incident by what was matched."""
    if not sightings:
        return Finding(passed=False, because="the collector said nothing of incidents, so nothing is behind it")
    if match is None and expected.optional:
        return Finding(passed=True, because="not seen, and it need not be")
    if match is None:
        seen = [name(incident) for incident, _ in _first_seen(sightings)]
        return Finding(passed=False, because=f"not seen in time; there was {_some(seen)}")
    measured = {"id": match.incident["id"], "detected_seconds": round(match.seconds, 1), "layer": match.incident.get("layer")}
    faults = [] if expected.on_layer(match.incident) else [f"it is on layer {match.incident.get('layer')}"]
    if when.gone_by is not None and when.until is not None:
        gone = _gone(match.incident["id"], when.until / SECOND, sightings)
        if gone is None or gone > when.gone_by / SECOND:
            faults.append(f"still open {when.gone_by / SECOND - when.until / SECOND:g} s after it was mended")
        else:
            measured["resolved_seconds"] = round(gone - when.until / SECOND, 1)
    return Finding(passed=not faults, because="; ".join(faults) or "as expected", measured=measured)


def judge_false(most: int, found: Matches, sightings: Sequence[Sighting]) -> Finding:
    """Judge how many incidents nobody expected."""
    if not sightings:
        return Finding(passed=False, because="the collector said nothing of incidents, so nothing is behind it")
    names = [name(incident) for incident in found.false]
    held = len(names) <= most
    because = "as expected" if held else f"{len(names)} that nobody expects: {_some(names)}"
    sentences = [str(incident.get("sentence", "")) for incident in found.false]
    return Finding(
        passed=held, because=because, measured={"false_incidents": len(names), "names": names, "sentences": sentences}
    )


def judge_verdict(expected: VerdictExpectation, when: Span, sightings: Sequence[Sighting]) -> Finding:
    """All selected paths must have the verdict at one look in time, and must have lost it in time."""
    seen: list[tuple[float, list[str]]] = []
    for sighting in sightings:
        words = [str(verdict["verdict"]) for verdict in sighting.said if expected.selects(verdict)]
        if words and sighting.at >= when.since / SECOND:
            seen.append((sighting.at, words))
    if not seen:
        return Finding(passed=False, because="there is no verdict of such a path, so nothing is behind it")
    agreed = [at for at, words in seen if all(word == expected.verdict for word in words)]
    last = sorted({word for at, words in seen if at <= when.seen_by / SECOND for word in words})
    if not agreed or agreed[0] > when.seen_by / SECOND:
        return Finding(
            passed=False, because=f"not {expected.verdict} in time, but {_some(last)}", measured={"paths": len(seen[0][1])}
        )
    measured = {"paths": len(seen[-1][1]), "after_seconds": round(agreed[0] - when.since / SECOND, 1)}
    if when.gone_by is not None and when.until is not None:
        late = [at for at, words in seen if at >= when.gone_by / SECOND and expected.verdict in words]
        if late:
            return Finding(passed=False, because=f"still {expected.verdict} at {late[0]:.1f} s", measured=measured)
    return Finding(passed=True, because="as expected", measured=measured)


def judge_alert(expected: AlertExpectation, when: Span, sightings: Sequence[Sighting]) -> Finding:
    """So many alerts must be active at one look in time, and never more; and none once they must be gone."""
    if not sightings:
        return Finding(passed=False, because="Alertmanager said nothing, so nothing is behind it")
    counts = [(sighting.at, sum(expected.fits(alert) for alert in sighting.said)) for sighting in sightings]
    reached = [at for at, count in counts if count == expected.count and at >= when.since / SECOND - EARLY]
    most = max(count for _, count in counts)
    names = sorted({str(alert.get("alertname")) for sighting in sightings for alert in sighting.said})
    if not reached or reached[0] > when.seen_by / SECOND:
        return Finding(passed=False, because=f"at most {most} in time; there was {_some(names)}")
    measured = {"after_seconds": round(reached[0] - when.since / SECOND, 1), "alerts": most}
    if most > expected.count:
        return Finding(passed=False, because=f"there were {most} of them", measured=measured)
    if when.gone_by is not None:
        late = [at for at, count in counts if count and at >= when.gone_by / SECOND]
        if late or counts[-1][0] < when.gone_by / SECOND - EARLY - 1:
            return Finding(passed=False, because="it has not gone in time", measured=measured)
    return Finding(passed=True, because="as expected", measured=measured)


def judge_notifications(expected: int, notifications: Sequence[Mapping[str, Any]]) -> Finding:
    """So many firing notifications must have arrived, each for an incident of its own, and none for any other."""
    firing = [str(notice.get("id")) for notice in notifications if notice.get("status") == "firing"]
    resolved = [str(notice.get("id")) for notice in notifications if notice.get("status") == "resolved"]
    measured = {"firing": len(firing), "resolved": len(resolved)}
    if len(firing) != expected:
        return Finding(passed=False, because=f"{len(firing)} arrived, expected {expected}", measured=measured)
    if len(set(firing)) < len(firing):
        return Finding(passed=False, because="one incident was told twice", measured=measured)
    return Finding(passed=True, because="as expected", measured=measured)


def name(incident: Incident) -> str:
    """For people, such as `node n3 pod in loss`."""
    words = [str(incident.get(key, "")) for key in ("kind", "component", "layer", "direction", "effect")]
    return " ".join(word for word in words if word)


def _first_seen(sightings: Sequence[Sighting]) -> Iterator[tuple[Incident, float]]:
    """Each incident that fired, once, with when it was first seen so."""
    known: set[str] = set()
    for sighting in sightings:
        for incident in sighting.said:
            if incident.get("phase") in OPEN and incident["id"] not in known:
                known.add(incident["id"])
                yield incident, sighting.at


def _gone(ident: str, after: float, sightings: Sequence[Sighting]) -> float | None:
    for sighting in sightings:
        if sighting.at >= after and all(
            incident["id"] != ident or incident.get("phase") not in OPEN for incident in sighting.said
        ):
            return sighting.at
    return None


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "nothing") + more


def judge_said(expect: Expected, happenings: Sequence[Happening], said: Said) -> Iterator[tuple[object, Finding]]:
    """Judge everything of this kind that a scenario expects: each expectation with its finding."""
    wanted = [(expected, span(expected, happenings)) for expected in expect.incidents]
    found = matched(wanted, said.incidents)
    for place, (expected, when) in enumerate(wanted):
        yield expected, judge_incident(expected, when, found.of.get(place), said.incidents)
    if expect.false_incidents is not None:
        yield {"false_incidents": expect.false_incidents}, judge_false(expect.false_incidents, found, said.incidents)
    for verdict in expect.verdicts:
        yield verdict, judge_verdict(verdict, span(verdict, happenings), said.verdicts)
    for alert in expect.alerts:
        yield alert, judge_alert(alert, span(alert, happenings), said.alerts)
    if expect.notifications is not None:
        yield {"notifications": expect.notifications}, judge_notifications(expect.notifications, said.notifications)

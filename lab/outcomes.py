"""What a scenario expects to be said: incidents, verdicts, alerts and notifications, as they stand in its file.

Each counts from `since`, which is when the first thing of the timeline is in force unless given, and ends at `until`, which is
when it is undone: the next `clear`, or where there is none the next event.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from collector.duration import Duration
from lab.expectation import Glob, Globs, matches_any

Count = Annotated[int, Meta(ge=0, le=1000)]


class Timed(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How soon something must be seen, and how soon it must be gone again."""

    within: Duration
    since: Duration | None = None
    until: Duration | None = None
    resolved_within: Duration | None = None


class IncidentExpectation(Timed, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One incident that must be open in time; each key that is given must fit, by shell patterns."""

    kind: Globs
    component: Globs
    layer: Globs = "*"
    direction: Globs = "*"
    effect: Globs = "*"
    optional: bool = False
    """It is true and may be told, but is over so soon that it need not be."""

    def fits(self, incident: Mapping[str, Any]) -> bool:
        """Whether an incident is this one but for its layer, which is told by itself."""
        keys = ("kind", "component", "direction", "effect")
        return all(matches_any(getattr(self, key), str(incident.get(key, ""))) for key in keys)

    def on_layer(self, incident: Mapping[str, Any]) -> bool:
        """Whether it is on the right layer too."""
        return matches_any(self.layer, str(incident.get("layer", "")))


class Side(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One end of a verdict; each key that is given must fit, by shell patterns."""

    namespace: Globs | None = None
    node: Globs | None = None
    pod: Globs | None = None
    name: Globs | None = None
    port: int | None = None


class VerdictExpectation(
    Timed, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename={"source": "from", "target": "to"}
):
    """A verdict that all paths between two kinds of places must have at some look in time."""

    source: Side = field(default_factory=Side)
    target: Side = field(default_factory=Side)
    verdict: Glob
    layer: Glob | None = None
    kind: Glob | None = None

    def selects(self, verdict: Mapping[str, Any]) -> bool:
        """Whether a verdict, as the API shows it, is about one of those paths."""
        return (
            _fits(self.source, verdict, "from")
            and _fits(self.target, verdict, "to")
            and all(
                wanted is None or fnmatchcase(str(verdict.get(key, "")), wanted)
                for key, wanted in (("layer", self.layer), ("kind", self.kind))
            )
        )


class AlertExpectation(Timed, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Alerts of a name that the real Alertmanager must have in time, so many of them and no more, with these labels."""

    name: Glob
    labels: dict[str, Glob] = field(default_factory=dict)
    count: Annotated[int, Meta(ge=1, le=100)] = 1

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert is one of those meant."""
        return fnmatchcase(labels.get("alertname", ""), self.name) and all(
            fnmatchcase(labels.get(key, ""), wanted) for key, wanted in self.labels.items()
        )


class Happening(Struct, frozen=True):
    """An event as far as the time of what must be seen goes."""

    at: int
    undoes: bool
    """Whether it is a `clear`."""


class Span(Struct, frozen=True):
    """When something must be seen and be gone, in nanoseconds of the scenario."""

    since: int
    seen_by: int
    until: int | None = None
    gone_by: int | None = None

    @property
    def end(self) -> int:
        """When all of it is known."""
        return max(self.seen_by, self.gone_by or 0)


def span(expected: Timed, events: Sequence[Happening]) -> Span:
    """When an expectation begins and ends; raises ValueError where nothing happens that it could count from."""
    begins = [event.at for event in events if not event.undoes]
    since = expected.since if expected.since is not None else begins[0] if begins else None
    if since is None:
        raise ValueError("nothing happens, so there must be a since")
    until: int | None = expected.until
    if until is None:
        later = [event for event in events if event.at > since]
        until = next((event.at for event in later if event.undoes), later[0].at if later else None)
    if expected.resolved_within is None:
        return Span(since, since + expected.within, until)
    if until is None:
        raise ValueError("nothing is undone, so there must be an until")
    return Span(since, since + expected.within, until, until + expected.resolved_within)


def _fits(side: Side, verdict: Mapping[str, Any], key: str) -> bool:
    end: Mapping[str, Any] = verdict.get(key) or {}
    port = verdict.get("port", end.get("port"))
    return (side.port is None or key == "from" or port == side.port) and all(
        wanted is None or matches_any(wanted, end.get(name))
        for name in ("namespace", "node", "pod", "name")
        for wanted in [getattr(side, name)]
    )

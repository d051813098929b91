"""What was said while a scenario ran, judged on sightings written down by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from collector.duration import Duration
from lab.expect import Finding
from lab.expected import Expected
from lab.outcomes import Happening, span
from lab.receiver import FROM_ALERTMANAGER, FROM_COLLECTOR, line
from lab.sightings import Said, Sighting, judge_said

SECOND = 1_000_000_000
BROKEN_AT_10_MENDED_AT_40 = (Happening(10 * SECOND, undoes=False), Happening(40 * SECOND, undoes=True))
NODE = {"kind": "node", "component": "n3", "layer": "pod", "direction": "in", "phase": "firing", "id": "a"}
WANTED = {"kind": "node", "component": "n3", "layer": "pod", "direction": "in", "within": "10s"}


def expected(**words: Any) -> Expected:
    return msgspec.convert(words, Expected, dec_hook=lambda _, value: Duration.parse(value))


def judged(expect: Expected, said: Said) -> list[Finding]:
    return [finding for _, finding in judge_said(expect, BROKEN_AT_10_MENDED_AT_40, said)]


def seen(*moments: tuple[float, Sequence[Mapping[str, Any]]]) -> Said:
    return Said(incidents=[Sighting(at, what) for at, what in moments])


def test_an_incident_that_fires_in_time_is_as_expected_and_no_false_one() -> None:
    incident, false = judged(
        expected(incidents=[WANTED], false_incidents=0),
        seen((9.0, []), (12.0, [{**NODE, "phase": "pending"}]), (14.0, [NODE])),
    )
    assert incident.passed
    assert incident.measured["detected_seconds"] == 4.0
    assert false.passed


def test_an_optional_incident_need_not_be_seen_is_no_false_one_and_is_judged_where_it_is_seen() -> None:
    wanted = expected(incidents=[{**WANTED, "optional": True}], false_incidents=0)
    assert [finding.passed for finding in judged(wanted, seen((14.0, [])))] == [True, True]
    assert [finding.passed for finding in judged(wanted, seen((14.0, [NODE])))] == [True, True]
    assert [finding.passed for finding in judged(wanted, seen((14.0, [{**NODE, "layer": "host"}])))] == [False, True]
    assert [finding.passed for finding in judged(wanted, seen((14.0, [{**NODE, "component": "n4"}])))] == [True, False]


@pytest.mark.parametrize(
    ("words", "at", "because"),
    [
        ({"component": "n4"}, 14.0, "not seen in time; there was node n4 pod in"),
        ({"direction": "out"}, 14.0, "not seen in time; there was node n3 pod out"),
        ({}, 21.0, "not seen in time; there was node n3 pod in"),
        ({}, 9.0, "not seen in time; there was node n3 pod in"),
        ({"phase": "pending"}, 14.0, "not seen in time; there was nothing"),
        ({"layer": "host"}, 14.0, "it is on layer host"),
    ],
)
def test_what_is_wrong_or_late_or_early_is_a_miss(words: dict[str, str], at: float, because: str) -> None:
    (finding,) = judged(expected(incidents=[WANTED]), seen((at, [{**NODE, **words}])))
    assert not finding.passed
    assert finding.because == because


def test_every_incident_that_nobody_expects_is_false_and_so_is_a_second_one_of_the_same_fault() -> None:
    other = {**NODE, "id": "b", "component": "n4"}
    incident, false = judged(
        expected(incidents=[WANTED], false_incidents=0), seen((14.0, [NODE, other]), (15.0, [NODE, {**NODE, "id": "c"}]))
    )
    assert incident.passed
    assert false.because == "2 that nobody expects: node n4 pod in, node n3 pod in"


def test_where_the_collector_said_nothing_nothing_has_passed() -> None:
    assert [finding.passed for finding in judged(expected(incidents=[WANTED], false_incidents=0), Said())] == [False, False]


@pytest.mark.parametrize(("gone", "passed"), [(60.0, True), (75.0, False)])
def test_an_incident_is_gone_in_time_or_not(gone: float, *, passed: bool) -> None:
    looks = [(float(at), [NODE] if 14 <= at < gone else []) for at in range(5, 80)]
    (finding,) = judged(expected(incidents=[{**WANTED, "resolved_within": "30s"}]), seen(*looks))
    assert finding.passed == passed


def test_each_expectation_gets_an_incident_of_its_own() -> None:
    other = {**WANTED, "component": "n5"}
    findings = judged(
        expected(incidents=[WANTED, other], false_incidents=0), seen((14.0, [NODE, {**NODE, "id": "b", "component": "n5"}]))
    )
    assert all(finding.passed for finding in findings)


def test_a_verdict_is_what_all_selected_paths_have() -> None:
    leak = {"from": {"namespace": "shop"}, "to": {"namespace": "pay"}, "port": 5432, "verdict": "leak"}
    words = {"from": {"namespace": "shop"}, "to": {"namespace": "pay", "port": 5432}, "verdict": "leak", "within": "20s"}
    expect = expected(verdicts=[words])
    other = {**leak, "verdict": "ok"}
    elsewhere = {**other, "port": 1}
    for said, because in (
        ([leak, elsewhere], "as expected"),
        ([leak, other], "not leak in time, but leak, ok"),
        ([elsewhere], "there is no verdict of such a path, so nothing is behind it"),
    ):
        (finding,) = judged(expect, Said(verdicts=[Sighting(20.0, said)]))
        assert finding.because == because


def test_alerts_are_so_many_and_no_more() -> None:
    expect = expected(alerts=[{"name": "NetmatrixNodeUnreachable", "labels": {"component": "n3"}, "within": "20s"}])
    alert = {"alertname": "NetmatrixNodeUnreachable", "component": "n3"}
    for alerts, passed in (([alert], True), ([alert, alert], False), ([], False)):
        (finding,) = judged(expect, Said(alerts=[Sighting(12.0, []), Sighting(20.0, alerts)]))
        assert finding.passed == passed


def test_a_notification_is_one_for_each_incident() -> None:
    expect = expected(notifications=1)
    firing = line(FROM_COLLECTOR, {"id": "a", "status": "firing"})
    group = line(FROM_ALERTMANAGER, {"groupKey": "g", "status": "firing", "alerts": [{"labels": {"id": "a"}}]})
    over = {**firing, "status": "resolved"}
    for notifications, passed in (([firing, over], True), ([group], True), ([firing, firing], False), ([over], False)):
        (finding,) = judged(expect, Said(notifications=list(notifications)))
        assert finding.passed == passed


def test_times_count_from_the_first_thing_that_happens_to_what_undoes_it() -> None:
    (one,) = expected(incidents=[{**WANTED, "resolved_within": "30s"}]).incidents
    when = span(one, BROKEN_AT_10_MENDED_AT_40)
    assert (when.since, when.seen_by, when.until, when.gone_by) == tuple(n * SECOND for n in (10, 20, 40, 70))
    with pytest.raises(ValueError, match="nothing happens"):
        span(one, ())

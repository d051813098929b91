from collector.api.incidents import Written
from collector.verdict.judgement import Judgement
from tests.collector.incidents import JUDGED, SECOND

WRITTEN = Written(epoch_ns=1_000_000_000 * SECOND)


def test_incidents_have_times_of_the_wall_clock_and_the_name_of_their_alert() -> None:
    answer = WRITTEN.judgement(JUDGED)
    assert (answer["state"], answer["sentence"]) == ("broken", "Node n3 is unreachable.")
    (one,) = answer["incidents"]
    assert (one["since"], one["seen"], one["closed"]) == ("2001-09-09T01:48:20.000Z", "2001-09-09T01:48:30.000Z", None)
    assert one["alert"] == "NetmatrixNodeUnreachable"
    assert one["runbook"].endswith("NetmatrixNodeUnreachable")
    assert [entry["phase"] for entry in answer["pending"]] == ["pending"]
    assert [entry["closed"] for entry in answer["closed"]] == ["2001-09-09T01:48:10.000Z"]


def test_one_incident_shows_its_evidence_and_what_would_have_contradicted_it() -> None:
    answer = WRITTEN.whole(JUDGED, "00f0")
    assert answer is not None
    assert answer["incident"]["evidence"] == [
        {
            "source": "n1",
            "target": "pod/netmatrix/agent-n3",
            "layer": "pod",
            "kind": "udp",
            "family": "ipv4",
            "sent": 4,
            "lost": 4,
        }
    ]
    assert answer["incident"]["against"] == "A reply from n3."


def test_an_incident_that_is_over_can_still_be_looked_at_and_another_cannot() -> None:
    answer = WRITTEN.whole(JUDGED, "00f2")
    assert answer is not None
    assert answer["incident"]["closed"] is not None
    assert WRITTEN.whole(JUDGED, "ffff") is None


def test_before_the_first_pass_nothing_is_known() -> None:
    answer = WRITTEN.judgement(Judgement())
    assert (answer["state"], answer["at"], answer["incidents"]) == ("unknown", None, [])

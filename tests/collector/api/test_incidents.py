import json
from typing import Any

from aiohttp.test_utils import make_mocked_request

from collector.api.incidents import TOLD_WITHIN, Written
from collector.api.question import QuestionError
from collector.api.verdicts import Verdicts
from collector.notify.deliveries import Delivery
from collector.notify.notices import Status
from collector.verdict.judgement import Closed, Judgement
from collector.verdict.timeline import Step, What
from tests.collector.incidents import DEAD, JUDGED, SECOND

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
    assert answer["evidence"] == [
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
    assert answer["against"] == "A reply from n3."


def test_an_incident_that_is_over_can_still_be_looked_at_and_another_cannot() -> None:
    answer = WRITTEN.whole(JUDGED, "00f2")
    assert answer is not None
    assert answer["closed"] is not None
    assert WRITTEN.whole(JUDGED, "00f2", answer["since"]) == answer
    assert WRITTEN.whole(JUDGED, "00f2", "2001-09-09T01:00:00.000Z") is None
    assert WRITTEN.whole(JUDGED, "ffff") is None


def test_a_timeline_has_what_happened_and_who_was_told_in_order() -> None:
    def deliveries(_: str) -> list[Delivery]:
        return [
            Delivery(1_000_000_050.0, "before", Status.FIRING, taken=True),
            Delivery(1_000_000_115.0, "pager", Status.FIRING, taken=True),
            Delivery(1_000_000_116.0, "chat", Status.FIRING, taken=False),
            Delivery(1_000_000_131.0, "pager", Status.RESOLVED, taken=True),
            Delivery(1_000_000_131.0 + TOLD_WITHIN, "of the next one", Status.FIRING, taken=True),
        ]

    steps = (
        Step(100 * SECOND, What.OPENED, "n3 loses."),
        Step(110 * SECOND, What.FIRED, "n3 is gone."),
        Step(130 * SECOND, What.RESOLVED, "n3 is gone."),
    )
    written = Written(epoch_ns=1_000_000_000 * SECOND, deliveries=deliveries)
    answer = written.all_of(DEAD._replace(steps=steps), 130 * SECOND)
    assert [(step["at"][17:19], step["what"], step["words"]) for step in answer["timeline"]] == [
        ("20", "opened", "n3 loses."),
        ("30", "fired", "n3 is gone."),
        ("35", "notified", "pager: firing"),
        ("36", "notification refused", "chat: firing"),
        ("50", "resolved", "n3 is gone."),
        ("51", "notified", "pager: resolved"),
    ]


def test_a_judgement_has_its_age() -> None:
    assert WRITTEN.judgement(JUDGED, 115 * SECOND)["age_seconds"] == 3.0


def test_before_the_first_pass_nothing_is_known() -> None:
    answer = WRITTEN.judgement(Judgement(), 115 * SECOND)
    assert (answer["state"], answer["at"], answer["age_seconds"], answer["incidents"]) == ("unknown", None, None, [])


class Remembered:
    """A history with an earlier incident of the same id, and the one that is open as it was a minute ago."""

    async def incident(self, name: str, since: str) -> dict[str, Any] | None:
        return {"id": name, "since": "2001-09-08T00:00:00.000Z"} if since.startswith("2001-09-08") else None

    async def occurrences(self, name: str) -> list[dict[str, Any]]:
        return [
            {"id": name, "since": since, "sentence": "n3"} for since in ("2001-09-09T01:48:20.000Z", "2001-09-08T00:00:00.000Z")
        ]


async def asked(history: Remembered | None, query: str, judgement: Judgement = JUDGED) -> tuple[int, dict[str, Any]]:
    verdicts = Verdicts(lambda: judgement, WRITTEN, history)
    try:
        answer = await verdicts.incident(make_mocked_request("GET", f"/api/v1/incident{query}"))
    except QuestionError as error:
        return error.status, {}
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)


async def test_an_incident_names_others_of_the_same_id_and_one_that_was_forgotten_is_remembered() -> None:
    status, answer = await asked(Remembered(), "?id=00f0")
    assert (status, answer["incident"]["sentence"]) == (200, "Node n3 is unreachable.")
    assert [one["since"] for one in answer["others"]] == ["2001-09-08T00:00:00.000Z"]
    status, answer = await asked(Remembered(), "?id=00f0&since=2001-09-08T00:00:00.000Z")
    assert (status, answer["incident"]["since"]) == (200, "2001-09-08T00:00:00.000Z")
    assert [one["since"] for one in answer["others"]] == ["2001-09-09T01:48:20.000Z"]
    assert (await asked(Remembered(), "?id=00f0&since=1999-01-01T00:00:00.000Z"))[0] == 404
    assert (await asked(None, "?id=ffff"))[0] == 404
    assert (await asked(None, ""))[0] == 400
    assert (await asked(None, "?id=00f0"))[1]["others"] == []


async def test_others_of_the_same_id_are_also_those_that_are_over_and_in_no_history_yet() -> None:
    before = Closed(DEAD._replace(since_ns=10 * SECOND), 20 * SECOND)
    _, answer = await asked(None, "?id=00f0", JUDGED._replace(closed=(*JUDGED.closed, before)))
    assert [(one["since"], one["closed"]) for one in answer["others"]] == [
        ("2001-09-09T01:46:50.000Z", "2001-09-09T01:47:00.000Z")
    ]

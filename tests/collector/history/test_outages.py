from typing import Any

from collector.history.outages import outages


def incident(name: str, since: int, closed: int | None, **more: Any) -> dict[str, Any]:
    def at(minute: int) -> str:
        return f"2027-01-15T08:{minute:02}:00.000Z"

    end = None if closed is None else at(closed)
    return {
        "id": name,
        "since": at(since),
        "closed": end,
        "seen": at(since + 1),
        "severity": "critical",
        "sentence": name,
    } | more


def spans(*incidents: dict[str, Any]) -> list[tuple[str, str | None, list[str]]]:
    return [(one.start[14:16], one.end and one.end[14:16], [cause["id"] for cause in one.causes]) for one in outages(incidents)]


def test_incidents_at_the_same_time_are_one_outage_with_both_causes() -> None:
    assert spans(incident("b", 5, 20), incident("a", 1, 10), incident("c", 30, 40)) == [
        ("30", "40", ["c"]),
        ("01", "20", ["a", "b"]),
    ]


def test_one_that_begins_as_another_ends_goes_on_with_it() -> None:
    assert spans(incident("a", 1, 5), incident("b", 5, 10)) == [("01", "10", ["a", "b"])]


def test_one_within_another_ends_no_outage_before_its_time() -> None:
    assert spans(incident("a", 1, 30), incident("b", 5, 6), incident("c", 20, 25)) == [("01", "30", ["a", "b", "c"])]


def test_one_that_is_open_makes_an_open_outage_and_one_that_was_cut_off_does_not() -> None:
    assert spans(incident("a", 1, 5), incident("b", 3, None)) == [("01", None, ["a", "b"])]
    assert spans(incident("b", 3, None, cut_off=True)) == [("03", "04", ["b"])]


def test_what_is_not_critical_is_no_outage() -> None:
    assert spans(incident("a", 1, 5, severity="warning")) == []
    assert spans() == []

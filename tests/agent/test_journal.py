import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from agent.journal import ALL_LINES, SAME_LINES, SAME_SPAN_NS, Sieve, configure

SECOND = 10**9


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_survive_37_one_event_a_thousand_times_is_a_few_lines_and_their_number_is_not_lost() -> None:
    sieve = Sieve()
    passed = [sieve.passes("report not sent", 0) for _ in range(1000)]
    assert len([one for one in passed if one is not None]) == SAME_LINES
    assert sieve.passes("report not sent", SAME_SPAN_NS) == 1000 - SAME_LINES
    assert sieve.suppressed == 1000 - SAME_LINES


def test_survive_37_a_thousand_different_events_in_a_second_are_bounded_too() -> None:
    sieve = Sieve()
    assert sum(sieve.passes(f"event {i}", 0) is not None for i in range(1000)) == ALL_LINES
    assert sieve.passes("another", SECOND) == 0


def test_survive_37_an_hour_of_outage_writes_a_bounded_log(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0
    configure("json", clock=lambda: now)
    log = structlog.get_logger()
    for now in range(0, 3600 * SECOND, SECOND // 5):  # noqa: B007 - the clock above reads it
        log.warning("no plan", problem="connection refused")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3600 // 10 * SAME_LINES
    assert json.loads(lines[SAME_LINES])["left_out"] == 10 * 5 - SAME_LINES


def test_a_line_is_one_json_object_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    structlog.get_logger().warning("no plan", problem='a "quote",\na line\x1b[31m and an escape')
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["problem"].startswith('a "quote"')
    assert "\x1b" not in line
    assert sys.stdout.isatty() is False

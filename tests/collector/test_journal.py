import json
from collections.abc import Iterator

import pytest
import structlog

from collector.journal import EVENTS, LINES, SPAN_NS, Sieve, configure


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_survive_37_a_thousand_of_one_event_are_a_few_lines_and_the_next_says_how_many_there_were() -> None:
    sieve = Sieve()
    passed = [sieve.passes("refused", now_ns=number) for number in range(1_000)]
    assert passed == [0] * LINES + [None] * (1_000 - LINES)
    assert sieve.passes("planned", now_ns=1_000) == 0
    assert sieve.passes("refused", now_ns=SPAN_NS) == 1_000 - LINES
    assert sieve.passes("refused", now_ns=SPAN_NS + 1) == 0


def test_events_that_are_told_apart_are_bounded() -> None:
    sieve = Sieve()
    for number in range(EVENTS * 3):
        sieve.passes(f"event {number}", now_ns=0)
    assert len(sieve._seen) == EVENTS


def test_survive_59_a_line_for_people_stays_one_line_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text")
    structlog.get_logger().warning("action refused", claimed="x\n2026-11-30 [info] forged by=admin\x1b[2J")
    (line,) = capsys.readouterr().out.splitlines()
    assert "\x1b[2J" not in line


def test_survive_59_a_line_stays_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    structlog.get_logger().warning("report refused", vantage="a", because='x\n{"event": "forged"}\x1b[31m')
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["event"] == "report refused"
    assert "\x1b" not in lines[0]

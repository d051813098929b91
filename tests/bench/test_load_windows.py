"""What the load generator reports is what an agent could report."""

import json

from agent.windows import REPEATED_AFTER
from bench.cluster import inventory
from bench.load_windows import Windows
from collector.discovery.static import parse_inventory
from collector.plan.compose import compose
from collector.settings import PlanSettings
from wire.outcome import Outcome
from wire.path import Kind
from wire.plan import Plan
from wire.report import unpack
from wire.window import FactName, Measure

SPANS = 6


def plan() -> Plan:
    snapshot = parse_inventory(json.dumps(inventory(20, services=3, external=2)), name="bench")
    return compose(snapshot, PlanSettings(), instance=1, generation=1, keys=()).plan("node-3")


def test_every_path_is_reported_as_often_as_it_is_planned_and_windows_are_consistent() -> None:
    asked, sent = plan(), dict[int, int]()
    windows = Windows(asked)
    for number in range(SPANS):
        for window in unpack(windows.columns(number)):
            sent[window.path] = sent.get(window.path, 0) + window.sent
            assert set(window.failed) <= {Outcome.TIMEOUT}
    for planned in asked.paths:
        wanted = SPANS * asked.report_interval_ms / planned.interval_ms
        assert abs(sent.get(planned.path.id, 0) - wanted) < 1


def test_each_kind_has_the_measures_and_facts_of_an_agent() -> None:
    asked = plan()
    kinds = {planned.path.id: planned.path.kind for planned in asked.paths}
    for window in unpack(Windows(asked, entries=len(asked.paths)).columns(1)):
        kind = kinds[window.path]
        if window.received:
            assert (Measure.THROUGH_SEQUENCE in window.measures) == (kind is Kind.UDP)
            assert (Measure.FIRST_BYTE_NS in window.measures) == (kind is Kind.HTTP)
            told = (window.path + 1) % REPEATED_AFTER == 0
            assert (FactName.HOP_LIMIT in window.facts) == (told and kind in {Kind.ICMP, Kind.UDP})


def test_the_same_agent_says_the_same_in_the_same_span_and_something_else_in_the_next() -> None:
    one, other = Windows(plan()), Windows(plan())
    assert one.columns(4) == other.columns(4)
    assert one.columns(4).sum_ns != one.columns(5).sum_ns


def test_so_many_entries_are_in_every_report_where_that_is_asked() -> None:
    windows = Windows(plan(), entries=17)
    assert {len(windows.columns(number)) for number in range(SPANS)} == {17}

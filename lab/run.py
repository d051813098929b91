"""Runs scenarios: builds the cluster, breaks it on time, looks at what the collector says, and judges.

Nothing is judged from the inside: what counts is what the collector's API shows to anybody, and the packets that the lab
itself dropped.
"""

import asyncio
import os
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct, structs

from lab import traffic
from lab.cluster import Cluster
from lab.deeds import deeds
from lab.delays import lacking
from lab.drops import Drop
from lab.evidence import Cell, Dropped, Evidence, Look
from lab.expect import Finding, judge_agents, judge_cells, judge_packets
from lab.expectation import SECOND, AgentsExpectation, CellsExpectation, Interval, PacketsExpectation, seconds
from lab.pace import Pace
from lab.scenario import NotApplicable, Scenario
from lab.shape import Fabric
from lab.topology import Topology
from lab.watch import Watch

READY_SECONDS = 45.0
LOOK_EVERY = 1.0

Say = Callable[[str], None]


def say(line: str) -> None:
    """Progress, for people."""
    print(line, file=sys.stderr, flush=True)


class Result(Struct, frozen=True):
    """What became of one scenario."""

    name: str
    passed: bool
    expectations: tuple[dict[str, Any], ...] = ()
    """Each with what was expected, whether it held, why not, and what was measured."""
    drops: int = 0
    """Packets that the lab dropped while it ran."""
    looks: int = 0
    error: str = ""
    """Why it could not be run."""
    fabric: str = ""
    not_applicable: str = ""
    """Why it was not run, since it would say nothing here. Then it has neither passed nor failed."""


def summary(results: Sequence[Result]) -> str:
    """How a run of several scenarios ended, in one line."""
    passed = sum(result.passed for result in results)
    failed = [result.name for result in results if not result.passed and not result.not_applicable]
    beside = [result.name for result in results if result.not_applicable]
    return (
        f"{passed} of {len(results)} passed"
        + (f"; failed: {', '.join(failed)}" if failed else "")
        + (f"; not applicable: {', '.join(beside)}" if beside else "")
    )


async def run(
    scenario: Scenario, *, fabric: Fabric | None = None, keep: bool = False, lab: str = "", tell: Say = say
) -> Result:
    """Run one scenario on a cluster of its own, which is removed afterwards unless it shall be kept.

    `fabric` is another one than the scenario's own; `lab` is the name of the cluster, this process's own unless given.
    """
    fabric = fabric or scenario.cluster.fabric
    try:
        scenario = scenario.on(fabric)
        _check_machine(scenario)
    except NotApplicable as reason:
        tell(f"{scenario.name}: not applicable: {reason}")
        return Result(scenario.name, passed=False, fabric=fabric, not_applicable=str(reason))
    cluster = Cluster(
        scenario.cluster,
        lab or f"run{os.getpid()}",
        scenario.plan_words,
        policies=scenario.policies,
        expectations=scenario.expectations,
    )
    try:
        tell(f"{scenario.name}: building {scenario.cluster.nodes} nodes, fabric {fabric}")
        await cluster.up()
        async with aiohttp.ClientSession() as session:
            watch = Watch(cluster.api_url, session)
            await watch.ready(READY_SECONDS, closed=bool(scenario.policies))
            tell(f"{scenario.name}: every path is measured; {float(scenario.length) / SECOND:g} s to go")
            evidence, incomplete = await _observe(scenario, cluster, watch, tell)
        result = judge(scenario, evidence, drops=len(cluster.drops.records), incomplete=incomplete)
    except (RuntimeError, OSError) as error:  # of `up` and `ready`: a program, or the machine, does not do its part
        result = Result(scenario.name, passed=False, error=str(error))
    finally:
        if keep:
            tell(f"{scenario.name}: kept; logs are in {cluster.directory}, and `python -m lab down` removes it")
        else:
            await cluster.down()
    result = structs.replace(result, fabric=fabric)
    for line in _summary(result):
        tell(line)
    return result


def _check_machine(scenario: Scenario) -> None:
    faults = [event.fault for event in scenario.timeline if event.fault is not None]
    if why := lacking(Topology.of(scenario.cluster, "check"), faults):
        raise NotApplicable(why)


def judge(scenario: Scenario, evidence: Evidence, *, drops: int = 0, incomplete: str = "") -> Result:
    """Judge all that a scenario expects. `incomplete` says that the lab lost count of its drops, so nothing can be proved."""
    findings: list[tuple[CellsExpectation | AgentsExpectation | PacketsExpectation, Finding]] = [
        *((expected, judge_cells(expected, evidence)) for expected in scenario.expect.cells),
        *((expected, judge_agents(expected, evidence.looks)) for expected in scenario.expect.agents),
        *((expected, judge_packets(expected, evidence.packets)) for expected in scenario.expect.packets),
    ]
    return Result(
        name=scenario.name,
        passed=not incomplete and all(finding.passed for _, finding in findings),
        expectations=tuple(
            {
                "expected": _words(expected),
                "passed": finding.passed,
                "because": finding.because,
                "measured": dict(finding.measured),
            }
            for expected, finding in findings
        ),
        drops=drops,
        looks=len(evidence.looks),
        error=incomplete,
    )


def dropped_stamp(records: Iterable[Drop]) -> Dropped:
    """Counts STAMP packets among drops."""
    sequences: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for drop in records:
        if drop.sequence is not None:
            sequences[drop.src, drop.dst, drop.reply].append(drop.sequence)
    for found in sequences.values():
        found.sort()

    def count(source: str, destination: str, *, reply: bool, after: int, through: int) -> int:
        found = sequences.get((source, destination, reply), [])
        return bisect_right(found, through) - bisect_right(found, after)

    return count


def addresses(topology: Topology) -> dict[tuple[str, str, str], str]:
    """Own address of each vantage, by network and family."""
    return {
        (pod.vantage, network, str(family)): address
        for pod in topology.vantages
        for network, owned in pod.networks.items()
        for family, address in owned.items()
    }


async def _observe(scenario: Scenario, cluster: Cluster, watch: Watch, tell: Say) -> tuple[Evidence, str]:
    """What was seen, and how many drops were not."""
    pace = Pace()
    looks: list[Look] = []
    latencies: dict[tuple[float, float], Mapping[str, Cell]] = {}
    packets: dict[tuple[float, float, str], tuple[float, float]] = {}
    length = scenario.length / SECOND
    for who in {exp.at for exp in scenario.expect.packets}:
        await asyncio.to_thread(traffic.begin, cluster.topology, who)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_look(watch, pace, length, looks))
        tasks.create_task(_happen(scenario, cluster, pace, tell))
        for between in {exp.between for exp in scenario.expect.cells if exp.p50_us or exp.p99_us}:
            tasks.create_task(_span(watch, pace, between, latencies))
        for exp in scenario.expect.packets:
            tasks.create_task(_count(cluster.topology, pace, exp, packets))
    incomplete = await asyncio.to_thread(cluster.drops.complete)
    dropped = dropped_stamp(cluster.drops.records)
    evidence = Evidence(
        looks=looks,
        latencies=latencies,
        dropped=dropped,
        addresses=addresses(cluster.topology),
        window_seconds=scenario.plan.report / SECOND,
        packets=packets,
    )
    return evidence, incomplete


async def _look(watch: Watch, pace: Pace, length: float, looks: list[Look]) -> None:
    """Look until the end, at a steady pace."""
    number = 0
    while (number := number + 1) * LOOK_EVERY <= length:
        await pace.until(number * LOOK_EVERY)
        look = await watch.look(pace)
        if look is not None:
            looks.append(look)


async def _happen(scenario: Scenario, cluster: Cluster, pace: Pace, tell: Say) -> None:
    """Let the events happen when their times come; while one does, the scenario stands still."""
    for moment, what, act in deeds(scenario, cluster):
        await pace.until(moment / SECOND)
        tell(f"{scenario.name}: {moment / SECOND:g}s: {what}")
        with pace.standing_still():
            await act()


async def _span(watch: Watch, pace: Pace, between: Interval, latencies: dict[tuple[float, float], Mapping[str, Cell]]) -> None:
    """Ask for the latencies of one interval at its end, since the API's spans end when one asks."""
    start, end = seconds(between)
    await pace.until(end)
    latencies[start, end] = await watch.latencies(end - start)


async def _count(
    topology: Topology, pace: Pace, expected: PacketsExpectation, packets: dict[tuple[float, float, str], tuple[float, float]]
) -> None:
    """Packets a second that somebody received and sent between the two ends of an interval."""
    start, end = seconds(expected.between)
    samples = []
    for moment in (start, end):
        await pace.until(moment)
        samples.append((await asyncio.to_thread(traffic.counted, topology, expected.at), monotonic()))
    (before, sooner), (after, later) = samples
    took = later - sooner  # on a busy machine the two samples are not as late as each other
    packets[start, end, expected.at] = (after[0] - before[0]) / took, (after[1] - before[1]) / took


def _words(expected: CellsExpectation | AgentsExpectation | PacketsExpectation) -> dict[str, Any]:
    words = msgspec.to_builtins(expected, enc_hook=str)  # only durations need the hook, and are written as text
    return {key: value for key, value in words.items() if value != {}}


def _summary(result: Result) -> Iterable[str]:
    yield f"{result.name}: {'passed' if result.passed else 'FAILED'}{f', {result.error}' if result.error else ''}"
    for entry in result.expectations:
        if not entry["passed"]:
            start, end = entry["expected"]["between"]
            yield f"  {start} to {end}: {entry['because']}"

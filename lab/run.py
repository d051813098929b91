"""Runs scenarios: builds the cluster, breaks it on time, looks at what the collector says, and judges.

Nothing is judged from the inside: what counts is what the collector's API shows to anybody, and the packets that the lab
itself dropped.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct, structs

from lab import monitoring
from lab.cluster import Cluster
from lab.delays import lacking
from lab.evidence import Evidence
from lab.expect import Finding, judge_agents, judge_cells, judge_packets
from lab.expectation import SECOND
from lab.observe import Say, observe
from lab.scenario import NotApplicable, Scenario
from lab.shape import Fabric
from lab.sightings import Said, judge_said
from lab.topology import Topology
from lab.watch import Watch

READY_SECONDS = 45.0


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
    beside_others: bool = False
    """Whether it failed while others ran, and is run again alone: what counts is how that ends."""

    @property
    def failed(self) -> bool:
        """Whether it was run and something of it does not hold."""
        return not self.passed and not self.not_applicable


def summary(results: Sequence[Result]) -> str:
    """How a run of several scenarios ended, in one line."""
    counted = [result for result in results if not result.beside_others]
    groups = {
        "failed": [result.name for result in counted if result.failed],
        "failed beside others and were run again alone": [result.name for result in results if result.beside_others],
        "not applicable": [result.name for result in counted if result.not_applicable],
    }
    passed = sum(result.passed for result in counted)
    told = [f"{passed} of {len(counted)} passed", *(f"{what}: {', '.join(names)}" for what, names in groups.items() if names)]
    return "; ".join(told)


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
            evidence, said, incomplete = await observe(scenario, cluster, watch, tell)
        result = judge(scenario, evidence, said, drops=len(cluster.drops.records), incomplete=incomplete)
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
    topology = Topology.of(scenario.cluster, "check")
    if why := lacking(topology, faults) or monitoring.lacking(topology):
        raise NotApplicable(why)


def judge(scenario: Scenario, evidence: Evidence, said: Said | None = None, *, drops: int = 0, incomplete: str = "") -> Result:
    """Judge all that a scenario expects. `incomplete` says that the lab lost count of its drops, so nothing can be proved."""
    findings: list[tuple[object, Finding]] = [
        *((expected, judge_cells(expected, evidence)) for expected in scenario.expect.cells),
        *((expected, judge_agents(expected, evidence.looks)) for expected in scenario.expect.agents),
        *((expected, judge_packets(expected, evidence.packets)) for expected in scenario.expect.packets),
        *judge_said(scenario.expect, scenario.happenings, said or Said()),
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


def _words(expected: object) -> dict[str, Any]:
    words = msgspec.to_builtins(expected, enc_hook=str)  # only durations need the hook, and are written as text
    return {key: value for key, value in words.items() if value != {}}


def _summary(result: Result) -> Iterable[str]:
    yield f"{result.name}: {'passed' if result.passed else 'FAILED'}{f', {result.error}' if result.error else ''}"
    for entry in result.expectations:
        if not entry["passed"]:
            yield f"  {_title(entry['expected'])}: {entry['because']}"


def _title(expected: Mapping[str, Any]) -> str:
    if "between" in expected:
        return " to ".join(expected["between"])
    return " ".join(str(value) for value in expected.values() if isinstance(value, str | int))

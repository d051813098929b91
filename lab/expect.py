"""Judges what a scenario expects on looks at the matrix that were taken while it ran.

In: expectations, looks (sums since the collector started, with the time of looking), latencies of intervals, and a count of
the packets that the lab dropped. Out: findings, each with what was measured. An expectation that no cell or no probe stands
behind has failed: a test that cannot fail is worth nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from lab.evidence import Evidence, Look, Stretch, Way, name_of, stretch
from lab.expectation import AgentsExpectation, Band, CellsExpectation, LossBand, PacketsExpectation, network_of, seconds

SHOWN = 5
"""Cells that a finding names at most."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether an expectation held, why not, and the numbers."""

    passed: bool
    because: str
    measured: Mapping[str, Any] = field(default_factory=dict)


def judge_cells(expected: CellsExpectation, evidence: Evidence) -> Finding:
    """Judge one expectation of cells by all that was seen."""
    matched = sorted({path for look in evidence.looks for path, cell in look.cells.items() if expected.selects(cell)})
    if expected.absent:
        return _judge_absence(matched, evidence)
    if not matched:
        return Finding(passed=False, because="it matches no cell, so nothing is behind it")
    faults: list[str] = []
    measured: dict[str, Any] = {"cells": len(matched)}
    counted = set(expected.measures) - {"state"}
    if counted:
        stretches = [
            stretch(path, expected.between, evidence.looks, window_seconds=evidence.window_seconds) for path in matched
        ]
        known = [found for found in stretches if found is not None]
        _judge_presence(expected, known, len(matched), measured, faults)
        _judge_counts(expected, known, measured, faults)
        _judge_directions(expected, known, evidence, measured, faults)
        _judge_latencies(expected, matched, evidence, measured, faults)
        _judge_facts(expected, known, measured, faults)
    if expected.state:
        _judge_state(expected, evidence.looks, measured, faults)
    return Finding(passed=not faults, because="; ".join(faults) or "as expected", measured=measured)


def _judge_absence(matched: Sequence[str], evidence: Evidence) -> Finding:
    if not any(look.cells for look in evidence.looks):
        return Finding(passed=False, because="there is no cell at all, so nothing is behind it")
    found = sorted({name_of(cell) for look in evidence.looks for path, cell in look.cells.items() if path in matched})
    return Finding(
        passed=not found, because=f"there is {_some(found)}" if found else "as expected", measured={"cells": len(found)}
    )


def judge_agents(expected: AgentsExpectation, looks: Sequence[Look]) -> Finding:
    """Judge one expectation of agents; it must hold at every look within the interval."""
    start, end = seconds(expected.between)
    seen = [
        (look.at, agent)
        for look in looks
        if start <= look.at <= end
        for agent in look.agents
        if expected.agent.matches(dict(agent))
    ]
    if not seen:
        return Finding(passed=False, because="it matches no agent at any look in the interval, so nothing is behind it")
    states = Counter(str(agent["state"]) for _, agent in seen)
    gaps = max(agent["gaps"] for _, agent in seen)
    faults = [
        f"{agent['vantage']} was {agent['state']} at {at:.1f} s"
        for at, agent in seen
        if expected.state is not None and agent["state"] != expected.state
    ][:SHOWN]
    if expected.gaps is not None and not expected.gaps.holds(gaps):
        faults.append(f"{gaps} reports missing, expected {expected.gaps}")
    measured = {"agents": len({agent["vantage"] for _, agent in seen}), "states": dict(states), "gaps": gaps}
    return Finding(passed=not faults, because="; ".join(faults) or "as expected", measured=measured)


def judge_packets(expected: PacketsExpectation, packets: Mapping[tuple[float, float, str], tuple[float, float]]) -> Finding:
    """Judge one expectation of packets by what the kernel counted, by interval and by who."""
    start, end = seconds(expected.between)
    received, sent = packets.get((start, end, expected.at), (0.0, 0.0))
    rates = {"received_per_second": received, "sent_per_second": sent}
    faults: list[str] = []
    for name, rate in rates.items():
        band: Band | None = getattr(expected, name)
        if band is not None:
            _each(name, band, [(expected.at, rate)], faults)
    if not received and not sent:
        faults.append("no packet at all, so nothing is behind it")
    return Finding(passed=not faults, because="; ".join(faults) or "as expected", measured=rates)


def _judge_presence(
    expected: CellsExpectation, known: Sequence[Stretch], matched: int, measured: dict[str, Any], faults: list[str]
) -> None:
    """Something must be behind a ratio of all cells together; and behind each cell, where each is judged by itself."""
    measured["cells_without_probes"] = matched - sum(1 for found in known if found.sent)
    if not set(expected.measures) - {"loss", "state"}:
        if not any(found.sent for found in known):
            faults.append("no probe stands behind it")
        return
    if len(known) < matched:
        faults.append(f"{matched - len(known)} of {matched} cells have no windows in the interval")
    silent = [found.name for found in known if not found.sent]
    if silent and set(expected.measures) - {"local", "state", "set_aside"}:
        faults.append(f"no probes behind {_some(silent)}")


def _judge_counts(expected: CellsExpectation, known: Sequence[Stretch], measured: dict[str, Any], faults: list[str]) -> None:
    sent, lost = sum(found.sent for found in known), sum(found.lost for found in known)
    failed: Counter[str] = Counter()
    local: Counter[str] = Counter()
    measures: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    for found in known:
        failed.update(found.failed)
        local.update(found.local)
        measures.update(found.measures)
        aside.update(found.set_aside)
    measured |= {"sent": sent, "lost": lost, "loss": lost / sent if sent else None}
    measures.pop("through_sequence", None)
    measured |= {"failed": dict(+failed), "local": dict(+local), "measures": dict(+measures), "set_aside": dict(+aside)}
    if expected.loss and sent and not expected.loss.holds(lost / sent):
        worst = sorted((found for found in known if found.sent), key=lambda found: -found.lost / found.sent)
        named = [f"{found.name} {found.lost}/{found.sent}" for found in worst]
        faults.append(f"loss {lost}/{sent} = {lost / sent:.4f}, expected {expected.loss}; worst {_some(named)}")
    if expected.sent:
        _each("sent", expected.sent, [(found.name, found.sent) for found in known], faults)
    for word, band in expected.outcome.items():
        _each(word, band, [(found.name, found.failed.get(word, 0)) for found in known], faults)
    for word, band in expected.local.items():
        _each(word, band, [(found.name, found.local.get(word, 0)) for found in known], faults)
    for name, band in expected.measure.items():
        _each(name, band, [(found.name, found.measures.get(name, 0)) for found in known], faults)
    for reason, band in expected.set_aside.items():
        # Whether a probe was out just when its agent fell ill is chance for one cell, and none for all of them.
        _each(f"set aside as {reason}", band, [("all of them", aside[reason])], faults)


def _judge_directions(
    expected: CellsExpectation, known: Sequence[Stretch], evidence: Evidence, measured: dict[str, Any], faults: list[str]
) -> None:
    for direction, band in (("forward", expected.forward_loss), ("backward", expected.backward_loss)):
        if band is not None:
            _judge_direction(direction, band, known, evidence=evidence, measured=measured, faults=faults)


def _judge_direction(
    direction: str,
    band: LossBand,
    known: Sequence[Stretch],
    *,
    evidence: Evidence,
    measured: dict[str, Any],
    faults: list[str],
) -> None:
    judged = sum(found.through - found.after for found in known)
    lost = sum(found.measures.get(f"{direction}_lost", 0) for found in known)
    measured[f"{direction}_lost"], measured["judged_by_direction"] = lost, judged
    unjudged = [found.name for found in known if found.through <= found.after]
    if unjudged:
        faults.append(f"no probe has been told apart by direction on {_some(unjudged)}")
    elif judged and (band.min is not None or band.max is not None) and not band.holds(lost / judged):
        faults.append(f"{direction} loss {lost}/{judged} = {lost / judged:.4f}, expected {band}")
    if band.equals is None:
        return
    differing: list[str] = []
    total = 0
    for found in known:
        count = _dropped(direction, found, evidence)
        total += count
        if count != (said := found.measures.get(f"{direction}_lost", 0)):
            span = f"sequences {found.after + 1} to {found.through}"
            differing.append(f"{found.name}: {said} {direction} lost, {count} dropped by the lab ({span})")
    measured[f"{direction}_dropped"] = total
    if differing:
        faults.append(_some(differing))


def _dropped(direction: str, found: Stretch, evidence: Evidence) -> int:
    here = evidence.addresses[found.last["from"]["vantage"], network_of(found.last), found.last["family"]]
    there, length = found.last["to"]["address"], found.last.get("packet_bytes", 0)
    if direction == "forward":
        way = Way(here, there, reply=False, packet_bytes=length)
    else:
        way = Way(there, here, reply=True, packet_bytes=length)
    return evidence.dropped(way, after=found.after, through=found.through)


def _judge_latencies(
    expected: CellsExpectation, matched: Sequence[str], evidence: Evidence, measured: dict[str, Any], faults: list[str]
) -> None:
    for name in ("p50_us", "p99_us"):
        band: Band | None = getattr(expected, name)
        if band is None:
            continue
        start, end = seconds(expected.between)
        cells = evidence.latencies.get((start, end), {})
        values = [
            (name_of(cells[path]), cells[path][name]) for path in matched if path in cells and cells[path][name] is not None
        ]
        if len(values) < len(matched):
            faults.append(f"{len(matched) - len(values)} of {len(matched)} cells have no {name} in the interval")
        if values:
            ordered = sorted(value for _, value in values)
            measured[name] = {"min": ordered[0], "median": ordered[len(ordered) // 2], "max": ordered[-1]}
        _each(name, band, values, faults)


def _judge_facts(expected: CellsExpectation, known: Sequence[Stretch], measured: dict[str, Any], faults: list[str]) -> None:
    for fact, wanted in expected.fact.items():
        having = [found.name for found in known if fact in found.last["facts"]]
        lacking = [found.name for found in known if fact not in found.last["facts"]]
        measured[f"fact {fact}"] = sorted({str(found.last["facts"][fact]) for found in known if fact in found.last["facts"]})[
            :SHOWN
        ]
        if wrong := (lacking if wanted == "present" else having):
            faults.append(f"fact {fact} should be {wanted} on {_some(wrong)}")
    for fact, pattern in expected.fact_like.items():
        told = [(found.name, str(found.last["facts"].get(fact, ""))) for found in known]
        measured[f"fact {fact}"] = sorted({value for _, value in told})[:SHOWN]
        if wrong := [f"{name} {value!r}" for name, value in told if not fnmatchcase(value, pattern)]:
            faults.append(f"fact {fact} should be like {pattern}, but {_some(wrong)}")


def _judge_state(expected: CellsExpectation, looks: Sequence[Look], measured: dict[str, Any], faults: list[str]) -> None:
    start, end = seconds(expected.between)
    wanted = expected.state
    seen = [
        (look.at, cell) for look in looks if start <= look.at <= end for cell in look.cells.values() if expected.selects(cell)
    ]
    measured["states"] = dict(
        Counter(f"{cell['state']}: {_without_numbers(cell['because'])}" for _, cell in seen).most_common(SHOWN)
    )
    if not seen:
        faults.append("there was no look at these cells in the interval")
        return
    wrong = [
        f"{name_of(cell)} {cell['state']} ({cell['because']}) at {at:.1f} s"
        for at, cell in seen
        if wanted is not None and not wanted.holds(cell["state"], cell["because"])
    ]
    if wanted is not None and wrong:
        faults.append(f"state should be {wanted}, but {_some(wrong)}")


def _each(what: str, band: Band, values: Sequence[tuple[str, float]], faults: list[str]) -> None:
    wrong = [f"{name} {value:g}" for name, value in values if not band.holds(value)]
    if wrong:
        faults.append(f"{what} should be {band}, but {_some(wrong)}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _without_numbers(text: str) -> str:
    return " ".join("N" if word[:1].isdigit() else word for word in text.split())

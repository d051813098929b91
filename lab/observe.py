"""What is seen of a cluster while a scenario runs: the matrix, what is said of incidents, and what the lab dropped.

Nothing is seen from the inside: what counts is what the collector's API, Alertmanager and the receiver show to anybody, and the
packets that the lab itself dropped.
"""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic
from typing import Any

from lab import traffic
from lab.cluster import Cluster
from lab.deeds import deeds
from lab.doorway import Doorway
from lab.drops import Drop
from lab.evidence import Cell, Dropped, Evidence, Look, Way
from lab.expectation import SECOND, Interval, PacketsExpectation, seconds
from lab.monitoring import NOTIFICATIONS
from lab.outcomes import VerdictExpectation
from lab.pace import Pace
from lab.receiver import read
from lab.roles import ALERTMANAGER_PORT
from lab.scenario import Scenario
from lab.sightings import Said, Sighting
from lab.topology import Pod, Topology
from lab.watch import Watch

LOOK_EVERY = 1.0
ASK_EVERY = 0.5
"""Seconds between two questions about incidents."""

SHORT_BYTES = 500
"""A packet that is longer than this is one of a path that is about its length: others have less than 300 bytes."""

Say = Callable[[str], None]


async def observe(scenario: Scenario, cluster: Cluster, watch: Watch, tell: Say) -> tuple[Evidence, Said, str]:
    """What was seen, and how many drops were not."""
    pace = Pace()
    looks: list[Look] = []
    latencies: dict[tuple[float, float], Mapping[str, Cell]] = {}
    packets: dict[tuple[float, float, str], tuple[float, float]] = {}
    length = scenario.length / SECOND
    for who in {exp.at for exp in scenario.expect.packets}:
        await asyncio.to_thread(traffic.begin, cluster.topology, who)
    said = Said()
    expect = scenario.expect
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        tasks.create_task(_happen(scenario, cluster, pace, tell))
        if expect.cells or expect.agents:
            tasks.create_task(_look(watch, pace, length, looks))
        if expect.judges_incidents:
            tasks.create_task(_ask(partial(_incidents, watch), pace, length, said.incidents))
        if expect.verdicts:
            tasks.create_task(_ask(partial(_verdicts, watch, expect.verdicts), pace, length, said.verdicts))
        if expect.alerts and cluster.topology.monitoring:
            door = Doorway(cluster.topology.monitoring.netns, (_address(cluster.topology.monitoring), ALERTMANAGER_PORT))
            await door.open()
            stack.push_async_callback(door.close)
            tasks.create_task(_ask(partial(watch.alerts, f"http://127.0.0.1:{door.port}"), pace, length, said.alerts))
        for between in {exp.between for exp in expect.cells if exp.p50_us or exp.p99_us}:
            tasks.create_task(_span(watch, pace, between, latencies))
        for exp in expect.packets:
            tasks.create_task(_count(cluster.topology, pace, exp, packets))
    said.notifications.extend(await asyncio.to_thread(read, cluster.directory / NOTIFICATIONS))
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
    return evidence, said, incomplete


async def _ask(
    ask: Callable[[], Awaitable[Sequence[Mapping[str, Any]] | None]], pace: Pace, length: float, sightings: list[Sighting]
) -> None:
    """Ask again and again until the end; where nobody answers, nothing is seen."""
    while pace.now < length:
        answer = await ask()
        if answer is not None:
            sightings.append(Sighting(pace.now, answer))
        await pace.until(min(length, pace.now + ASK_EVERY))


async def _incidents(watch: Watch) -> Sequence[Mapping[str, Any]] | None:
    answer = await watch.ask("incidents")
    return answer["incidents"] if answer else None


async def _verdicts(watch: Watch, expected: Sequence[VerdictExpectation]) -> Sequence[Mapping[str, Any]] | None:
    answer = await watch.ask("verdicts")
    if answer is None:
        return None
    return [verdict for verdict in answer["verdicts"] if any(one.selects(verdict) for one in expected)]


def _address(pod: Pod) -> str:
    return next(iter(pod.addresses.values()))


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


def dropped_stamp(records: Iterable[Drop]) -> Dropped:
    """Counts STAMP packets of the schedule among drops."""
    sequences: dict[Way, list[int]] = defaultdict(list)
    for drop in records:
        if drop.sequence is not None and not drop.is_of_burst:
            length = drop.packet_bytes if drop.packet_bytes > SHORT_BYTES else 0
            sequences[Way(drop.src, drop.dst, reply=drop.reply, packet_bytes=length)].append(drop.sequence)
    for found in sequences.values():
        found.sort()

    def count(way: Way, *, after: int, through: int) -> int:
        found = sequences.get(way, [])
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

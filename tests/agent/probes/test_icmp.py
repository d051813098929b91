"""ICMP echo against the real kernel of this machine: raw or ping sockets, whichever it allows."""

import errno
import os
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from agent import bulk, kernel
from agent.probes import lines
from agent.probes.icmp import IcmpProber
from agent.probes.prober import Context
from tests.agent.probes.collecting import a_path, a_probe, collected, notes, observations, received
from wire.outcome import Outcome
from wire.path import Family, Icmp
from wire.window import FactName, Measure, Timed

ADDRESSES = ["127.0.0.1", "::1"]


@pytest.fixture(params=["at once", "one by one"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds as well where the machine lacks the calls that send and receive many packets at once."""
    if request.param == "one by one":
        monkeypatch.setattr(bulk, "_tables", lambda: None)


@pytest.fixture
def prober() -> Iterator[IcmpProber]:
    prober = IcmpProber(Context())
    reason = prober.unsupported(Family.IPV4)
    if reason:
        pytest.skip(f"ICMP sockets are not allowed here: {reason}")
    yield prober
    prober.close()


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("size", [0, 7, 56, 1400, 9000])
def test_an_echo_is_timed_by_the_kernel_whatever_its_size(prober: IcmpProber, address: str, size: int) -> None:
    path = a_path(address, Icmp(size))
    prober.send([a_probe(path)])
    collected(prober, 1)  # the first packet after the first stamping socket of the machine may be unstamped
    probe = a_probe(path)
    assert prober.send([probe]) == []
    (observation,) = observations(collected(prober, 1))
    assert observation.probe == probe
    assert observation.timed is Timed.KERNEL
    assert observation.latency_ns is not None
    assert 0 < observation.latency_ns < 100_000_000
    assert observation.facts[FactName.HOP_LIMIT] == "64"
    assert not observation.confirmed


@pytest.mark.parametrize("address", ADDRESSES)
def test_survive_08_after_a_stalled_loop_an_echo_still_has_the_kernels_latency(prober: IcmpProber, address: str) -> None:
    prober.send([a_probe(a_path(address, Icmp()))])
    collected(prober, 1)
    prober.send([a_probe(a_path(address, Icmp()))])
    time.sleep(0.7)
    (observation,) = observations(prober.collect())
    assert observation.timed is Timed.KERNEL
    assert observation.latency_ns is not None
    assert observation.latency_ns < 100_000_000


def test_a_batch_far_larger_than_the_receive_buffer_loses_nothing(prober: IcmpProber) -> None:
    assert prober.unsupported(Family.IPV6) is None
    for line in prober._lines:
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 106_496)  # the kernel doubles it to its usual default
    probes = [a_probe(a_path(address, Icmp())) for address in ADDRESSES for _ in range(600)]
    assert prober.send(probes) == []
    found = observations(collected(prober, len(probes)))
    assert sorted(observation.probe.number for observation in found) == [probe.number for probe in probes]
    assert sum(observation.timed is Timed.KERNEL for observation in found) >= len(found) - 1


def test_probes_that_leave_in_another_order_than_that_of_their_numbers_are_all_answered(prober: IcmpProber) -> None:
    probes = [a_probe(a_path(address, Icmp())) for _ in range(3) for address in ADDRESSES]
    for family in (1, 0):  # a runner sends one family after the other
        assert prober.send(probes[family::2]) == []
    found = observations(collected(prober, len(probes)))
    assert sorted(observation.probe.number for observation in found) == [probe.number for probe in probes]


@pytest.mark.parametrize("match", [kernel.TransmitMatch.PACKET, kernel.TransmitMatch.NONE])
@pytest.mark.parametrize("address", ADDRESSES)
def test_older_kernels_are_timed_by_the_returned_packet_or_else_by_our_clock(
    monkeypatch: pytest.MonkeyPatch, match: kernel.TransmitMatch, address: str
) -> None:
    monkeypatch.setattr(kernel, "transmit_match", lambda: match)
    prober = IcmpProber(Context())
    for size in (56, 4000):
        prober.send([a_probe(a_path(address, Icmp(size)))])
        collected(prober, 1)
        prober.send([a_probe(a_path(address, Icmp(size)))])
        (observation,) = observations(collected(prober, 1))
        assert observation.timed is (Timed.USER if match is kernel.TransmitMatch.NONE else Timed.KERNEL)
        assert observation.latency_ns is not None
    prober.close()


def test_survive_06_a_step_of_the_wall_clock_leaves_the_latency_to_our_own_clock(
    prober: IcmpProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    prober.send([a_probe(a_path("127.0.0.1", Icmp()))])
    true_offset = kernel.realtime_offset_ns()
    monkeypatch.setattr(kernel, "realtime_offset_ns", lambda: true_offset + 3600 * 10**9)
    before = time.monotonic_ns()
    (observation,) = observations(collected(prober, 1))
    assert observation.timed is Timed.USER
    assert observation.latency_ns is not None
    assert 0 < observation.latency_ns < time.monotonic_ns() - before + 10**9


def test_an_answer_to_a_forgotten_probe_is_ignored_and_counted(prober: IcmpProber) -> None:
    probe = a_probe(a_path("127.0.0.1", Icmp()))
    prober.send([probe])
    prober.forget(probe)
    prober.forget(probe)
    end = time.monotonic() + 5
    while not prober.ignored and time.monotonic() < end:
        assert prober.collect() == []
    assert prober.ignored == 1


def test_survive_40_a_wrong_payload_source_or_number_is_ignored_and_a_second_copy_is_a_duplicate(prober: IcmpProber) -> None:
    probe = a_probe(a_path("127.0.0.1", Icmp()))
    prober.send([probe])
    line = prober._lines.current(Family.IPV4)
    (flight,) = prober._flights.values()
    raw = line.sock.type == socket.SOCK_RAW
    echo = received(line.sock)
    header = 20 if raw else 0
    forged = [
        (echo[: header + 20] + bytes([echo[header + 20] ^ 1]) + echo[header + 21 :], "127.0.0.1"),  # corrupted
        (echo, "127.0.0.2"),  # from another address
        (echo[: header + 6] + bytes([echo[header + 6] ^ 1]) + echo[header + 7 :], "127.0.0.1"),  # another number
        (echo[: header + 1] + b"\1" + echo[header + 2 :], "127.0.0.1"),  # a code that no reply has
        *(
            [(echo[: header + 4] + bytes([echo[header + 4] ^ 1]) + echo[header + 5 :], "127.0.0.1")] if raw else []
        ),  # another id
        (echo[: header + 7], "127.0.0.1"),
        (echo[:1], "127.0.0.1"),
        (b"", "127.0.0.1"),
    ]
    for packet, address in forged:
        prober._take([bulk.Arrival(packet, bulk.sockaddr(address, 0))], line)
    assert prober._ready == []
    assert prober.ignored == len(forged)
    assert flight.identifier in prober._flights
    for _ in range(3):
        prober._take([bulk.Arrival(echo, bulk.sockaddr("127.0.0.1", 0))], line)
    found = prober.collect()
    assert [observation.probe for observation in observations(found)] == [probe]
    assert [dict(note.measures) for note in notes(found)] == [{Measure.DUPLICATES: 1}] * 2


def test_survive_40_an_answer_that_was_overtaken_is_noted_as_reordered(prober: IcmpProber) -> None:
    path = a_path("127.0.0.1", Icmp())
    first, second = a_probe(path), a_probe(path)
    prober.send([first, second])
    line = prober._lines.current(Family.IPV4)
    echoes = [received(line.sock) for _ in range(2)]
    for echo in reversed(echoes):
        prober._take([bulk.Arrival(echo, bulk.sockaddr("127.0.0.1", 0))], line)
    found = prober.collect()
    assert [observation.probe for observation in observations(found)] == [second, first]
    assert [dict(note.measures) for note in notes(found)] == [{Measure.REORDERED: 1}]


def test_survive_42_a_silent_socket_is_replaced_with_another_id_and_the_old_one_is_read_on(
    prober: IcmpProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "SHORTEST_LINE_LIFE_NS", 0)
    path = a_path("127.0.0.1", Icmp())
    waiting = a_probe(path)
    prober.send([waiting])
    before = prober._lines.current(Family.IPV4)
    for _ in range(lines.SILENT_LIMIT):
        probe = a_probe(path)
        prober.send([probe])
        prober.forget(probe)
    prober.send([a_probe(path)])
    after = prober._lines.current(Family.IPV4)
    assert after is not before
    assert after.sock.fileno() != before.sock.fileno()
    assert {observation.probe for observation in observations(collected(prober, 2))} >= {waiting}
    prober.collect()
    assert before.sock.fileno() == -1, "closed once nothing is under way on it"


def test_survive_42_one_path_that_is_silent_has_the_socket_replaced_once_though_others_are_answered(prober: IcmpProber) -> None:
    """Its flow may be stuck in a firewall; where it is just dead, another socket does not help, and is not tried again."""
    silent, well = a_path("127.0.0.1", Icmp()), a_path("127.0.0.2", Icmp())

    def lose() -> None:
        answered, lost = a_probe(well), a_probe(silent)
        prober.send([answered, lost])
        prober.forget(lost)
        assert [observation.probe for observation in observations(collected(prober, 1))] == [answered]

    for _ in range(lines.SILENT_LIMIT):
        lose()
    before = prober._lines.current(Family.IPV4)
    lose()
    assert prober._lines.current(Family.IPV4) is before, "the last one was opened just now"
    before.opened_ns -= lines.STUCK_LINE_LIFE_NS
    lose()
    after = prober._lines.current(Family.IPV4)
    assert after is not before
    after.opened_ns -= lines.STUCK_LINE_LIFE_NS
    for _ in range(lines.SILENT_LIMIT + 1):
        lose()
    assert prober._lines.current(Family.IPV4) is after


def test_survive_42_a_socket_is_replaced_after_five_minutes_though_all_is_well(prober: IcmpProber) -> None:
    path = a_path("127.0.0.1", Icmp())
    prober.send([a_probe(path)])
    before = prober._lines.current(Family.IPV4)
    prober.send([a_probe(path)])
    assert prober._lines.current(Family.IPV4) is before
    before.opened_ns -= lines.LINE_LIFE_NS
    prober.send([a_probe(path)])
    assert prober._lines.current(Family.IPV4) is not before
    assert len(observations(collected(prober, 3))) == 3


def test_survive_29_no_descriptor_left_is_our_own_fault_and_passes() -> None:
    prober = IcmpProber(Context())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = a_probe(a_path("127.0.0.1", Icmp()))
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        (observation,) = prober.send([probe])
        reason = prober.unsupported(Family.IPV4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert observation.outcome is Outcome.NO_FD
    assert reason is None, "it may well be supported"
    prober.close()


def test_survive_41_an_icmp_error_counts_only_for_the_probe_and_the_address_that_it_quotes(prober: IcmpProber) -> None:
    probe = a_probe(a_path("127.0.0.1", Icmp()))
    prober.send([probe])
    line = prober._lines.current(Family.IPV4)
    (flight,) = prober._flights.values()
    (packet,), _ = prober._requests(line, [flight.course], [flight.identifier], [bytes(8)])
    prohibited = kernel.IcmpError(socket.AF_INET, 3, 13, "10.0.0.1")
    redirect = kernel.IcmpError(socket.AF_INET, 5, 1, "10.0.0.1")
    prober._blame(packet, prohibited, ("127.0.0.9", 0), line)
    prober._blame(packet[:7], prohibited, ("127.0.0.1", 0), line)
    prober._blame(packet, redirect, ("127.0.0.1", 0), line)
    assert (prober._ready, prober.ignored) == ([], 3)
    prober._blame(packet[:8], prohibited, ("127.0.0.1", 0), line)
    assert [item.outcome for item in observations(prober._ready)] == [Outcome.PROHIBITED]


@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN])
def test_survive_30_a_full_queue_is_our_own_fault_and_leaves_nothing_under_way(
    prober: IcmpProber, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    line = prober._lines.current(Family.IPV4)
    monkeypatch.setattr(bulk, "send", full)  # loopback has no queue to fill
    (observation,) = prober.send([a_probe(a_path("127.0.0.1", Icmp()))])
    assert observation.outcome is Outcome.NO_BUFFER
    assert (prober._flights, line.under_way) == ({}, 0)

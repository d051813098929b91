"""STAMP from a real prober to a real reflector over loopback."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from agent import bulk, kernel, stamp
from agent.bulk import Arrival
from agent.probes import lines
from agent.probes.prober import Context, Note, Observation
from agent.probes.udp import UdpProber
from agent.responders.reflector import Reflector
from agent.responders.replies import Replies
from tests.agent.ports import free_port
from tests.agent.probes.collecting import a_path, a_probe, awaited, collected, notes, observations
from wire.outcome import Outcome
from wire.path import Family, Path, Udp
from wire.plan import GroupKey
from wire.window import FactName, Measure, Timed

KEY = GroupKey(3, b"sixteen byte key")
ADDRESSES = ["127.0.0.1", "::1"]


@pytest.fixture(params=["at once", "one by one"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds as well where the machine lacks the calls that send and receive many packets at once."""
    if request.param == "one by one":
        monkeypatch.setattr(bulk, "_tables", lambda: None)


@pytest.fixture
async def reflector() -> AsyncIterator[Reflector]:
    reflector = Reflector(Context(uid="peer-uid", keys=(KEY,)), free_port())
    reflector.open()
    yield reflector
    reflector.close()


@pytest.fixture
def prober() -> Iterator[UdpProber]:
    prober = UdpProber(Context(uid="own-uid", keys=(KEY,)))
    yield prober
    prober.close()


def path_to(reflector: Reflector, address: str = "127.0.0.1", *, uid: str = "peer-uid", padding: int = 0) -> Path:
    return a_path(address, Udp(reflector.port, padding), uid=uid)


async def probed(prober: UdpProber, path: Path) -> Observation:
    assert prober.send([a_probe(path)]) == []
    (observation,) = observations(await awaited(prober, 1))
    return observation


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("padding", [0, 1, 1000, 9000])
async def test_a_probe_is_timed_from_kernel_to_kernel_and_confirmed(
    prober: UdpProber, reflector: Reflector, address: str, padding: int
) -> None:
    path = path_to(reflector, address, padding=padding)
    await probed(prober, path)  # the first packet after the first stamping socket of the machine may be unstamped
    observation = await probed(prober, path)
    assert observation.timed is Timed.KERNEL
    assert observation.latency_ns is not None
    assert 0 <= observation.latency_ns < 100_000_000
    assert observation.confirmed
    assert observation.facts == {FactName.HOP_LIMIT: "64"}


async def test_survive_08_a_stall_of_both_ends_is_in_no_latency(prober: UdpProber, reflector: Reflector) -> None:
    path = path_to(reflector)
    await probed(prober, path)
    assert prober.send([a_probe(path)]) == []
    time.sleep(0.7)  # noqa: ASYNC251 - the loop of sender and reflector is to stall
    (observation,) = observations(await awaited(prober, 1))
    assert observation.timed is Timed.KERNEL
    assert observation.latency_ns is not None
    assert observation.latency_ns < 100_000_000


async def test_survive_18_another_pod_at_the_address_is_a_wrong_peer_and_is_named(
    prober: UdpProber, reflector: Reflector
) -> None:
    observation = await probed(prober, path_to(reflector, uid="planned-uid"))
    assert observation.outcome is Outcome.WRONG_PEER
    assert observation.facts[FactName.PEER_UID] == "peer-uid"
    assert not observation.confirmed
    unnamed = await probed(prober, path_to(reflector, uid=""))
    assert unnamed.latency_ns is not None
    assert not unnamed.confirmed


async def test_a_source_address_that_is_not_ours_is_a_fact_and_our_own_is_none(prober: UdpProber, reflector: Reflector) -> None:
    prober.context.addresses = frozenset({"10.1.2.3"})
    assert (await probed(prober, path_to(reflector))).facts[FactName.SOURCE] == "127.0.0.1"
    prober.context.addresses = frozenset({"127.0.0.1"})
    assert FactName.SOURCE not in (await probed(prober, path_to(reflector))).facts


async def test_keys_turn_over_without_a_probe_lost(prober: UdpProber, reflector: Reflector) -> None:
    following = GroupKey(4, b"the key after it")
    for keys in ((KEY,), (KEY, following), (following,)):
        prober.context.keys = keys
        reflector.context.keys = (KEY, following)
        assert (await probed(prober, path_to(reflector))).confirmed


def test_without_a_group_key_nothing_is_sent_and_it_is_no_loss() -> None:
    prober = UdpProber(Context())
    (observation,) = prober.send([a_probe(a_path("127.0.0.1", Udp(9)))])
    assert observation.outcome is Outcome.UNSUPPORTED
    prober.close()


@pytest.mark.parametrize("address", ADDRESSES)
def test_survive_41_a_closed_port_is_refused_for_its_own_probe_and_the_next_is_innocent(
    prober: UdpProber, address: str
) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((address, 0))
        closed = a_probe(a_path(address, Udp(9)))
        open_ = a_probe(a_path(address, Udp(silent.getsockname()[1])))
        assert prober.send([closed, open_, a_probe(a_path(address, Udp(9))), open_]) == []
        found = observations(collected(prober, 2))
    assert [(observation.outcome, observation.probe.path) for observation in found] == [(Outcome.REFUSED, closed.path)] * 2
    assert collected(prober, 1, patience=0.05) == []


def test_survive_41_an_icmp_error_with_nothing_quoted_is_the_only_candidates(prober: UdpProber) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        probe = a_probe(a_path("127.0.0.1", Udp(port)))
        prober.send([probe])
        line = prober._lines.current(Family.IPV4)
        error = kernel.IcmpError(socket.AF_INET, 3, 13, "10.0.0.1")
        prober._blame(b"", error, ("127.0.0.1", port + 1), line)
        prober._blame(b"", error, ("127.0.0.2", port), line)
        assert prober._ready == []
        prober._blame(b"", error, ("127.0.0.1", port), line)
        (observation,) = observations(prober.collect())
    assert (observation.probe, observation.outcome) == (probe, Outcome.PROHIBITED)


class Courier:
    """Stands where the network is: takes requests, has them reflected, and delivers replies as it pleases."""

    def __init__(self, prober: UdpProber) -> None:
        self.prober = prober
        self.peer = Replies(Context(uid="peer-uid", keys=(KEY,)))
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(5)
        self.path = a_path("127.0.0.1", Udp(self.sock.getsockname()[1]), uid="peer-uid")

    def request(self) -> tuple[bytes, tuple[str, int]]:
        assert self.prober.send([a_probe(self.path)]) == []
        return self.sock.recvfrom(4096)

    def reflected(self, packet: bytes) -> bytes:
        now = time.time_ns()
        reply = self.peer.reply(Arrival(packet, bytes(16), now, 64), now)
        stamp.stamp_departure(reply, now)
        return bytes(reply)

    def taken(self, packet: bytes, address: str = "127.0.0.1", port: int | None = None) -> list[Observation | Note]:
        line = self.prober._lines.current(Family.IPV4)
        port = self.sock.getsockname()[1] if port is None else port
        self.prober._take([bulk.Arrival(packet, bulk.sockaddr(address, port))], line)
        return self.prober.collect()


@pytest.fixture
def courier(prober: UdpProber) -> Iterator[Courier]:
    courier = Courier(prober)
    yield courier
    courier.sock.close()


def test_survive_40_only_the_peer_s_own_answer_is_taken(courier: Courier) -> None:
    packet, _ = courier.request()
    reply = courier.reflected(packet)
    own_port = courier.sock.getsockname()[1]
    assert courier.taken(packet) == [], "our own request, sent back"
    assert courier.taken(reply, "127.0.0.2") == []
    assert courier.taken(reply, port=own_port + 1) == []
    assert courier.taken(reply[:-1] + bytes([reply[-1] ^ 1])) == []
    assert courier.taken(reply[:60]) == []
    assert courier.taken(b"") == []
    assert courier.prober.ignored == 6
    found = courier.taken(reply)
    assert [observation.confirmed for observation in observations(found)] == [True]


def test_two_probes_of_a_path_in_one_batch_have_a_number_each(courier: Courier) -> None:
    assert courier.prober.send([a_probe(courier.path), a_probe(courier.path)]) == []
    packets = [courier.sock.recvfrom(4096)[0] for _ in range(2)]
    assert [int.from_bytes(packet[:4], "big") for packet in packets] == [0, 1]


def test_an_answer_that_is_heard_on_another_line_ends_the_waiting_of_its_own(courier: Courier) -> None:
    packet, _ = courier.request()
    lines = courier.prober._lines
    own, other = lines.current(Family.IPV4), lines.current(Family.IPV6)
    own.silent = other.silent = 1
    arrived = bulk.Arrival(courier.reflected(packet), bulk.sockaddr("127.0.0.1", courier.sock.getsockname()[1]))
    courier.prober._take([arrived], other)
    assert [(line.under_way, line.silent) for line in (own, other)] == [(0, 0), (0, 1)]


def test_survive_40_copies_and_overtaken_answers_are_noted(courier: Courier) -> None:
    (first, _), (second, _) = courier.request(), courier.request()
    early, late = courier.reflected(first), courier.reflected(second)
    found = [*courier.taken(late), *courier.taken(early), *courier.taken(early), *courier.taken(late)]
    assert len(observations(found)) == 2
    counted = [dict(note.measures) for note in notes(found) if Measure.THROUGH_SEQUENCE not in note.measures]
    assert counted == [{Measure.REORDERED: 1}, {Measure.DUPLICATES: 1}, {Measure.DUPLICATES: 1}]


def test_both_directions_of_loss_are_counted_by_the_packets_own_numbers(
    courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.directions.HORIZON_NS", 0)
    found, truth = [], {}
    for number in range(60):
        packet, _ = courier.request()
        assert int.from_bytes(packet[:4], "big") == number
        truth[number] = "forward" if number % 3 == 1 else "backward" if number % 7 == 2 else ""
        if truth[number] != "forward":
            reply = courier.reflected(packet)
            if truth[number] != "backward":
                found += courier.taken(reply)
    settled = [dict(note.measures) for note in notes(found)]
    through = -1
    for measures in settled:
        span = range(through + 1, measures[Measure.THROUGH_SEQUENCE] + 1)
        through = measures[Measure.THROUGH_SEQUENCE]
        assert measures.get(Measure.FORWARD_LOST, 0) == sum(truth[number] == "forward" for number in span)
        assert measures.get(Measure.BACKWARD_LOST, 0) == sum(truth[number] == "backward" for number in span)
    assert through >= 57


def test_a_reply_after_the_probe_was_given_up_is_no_success_but_still_says_what_was_lost(
    courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.probes.udp.TELL_EVERY", 1)
    courier.taken(courier.reflected(courier.request()[0]))
    reply = courier.reflected(courier.request()[0])
    (flight,) = courier.prober._flights.values()
    courier.prober.forget(flight.probe)
    (note,) = courier.taken(reply)
    assert isinstance(note, Note)
    assert dict(note.measures) == {Measure.THROUGH_SEQUENCE: 1}


@pytest.mark.parametrize("is_apart", [False, True])
def test_the_first_bit_of_the_ssid_of_requests_and_replies_says_whether_they_are_of_a_burst(
    courier: Courier, is_apart: bool
) -> None:
    for _ in range(16):  # the other bits are random, so that this one would not be right so often by chance
        probe = a_probe(a_path("127.0.0.1", courier.path.ask, uid="peer-uid"))
        assert probe.track is not None
        probe.track.is_apart = is_apart
        courier.prober.send([probe])
        packet, _ = courier.sock.recvfrom(4096)
        assert {packet[14] >> 7, courier.reflected(packet)[14] >> 7} == {int(is_apart)}


def test_a_session_without_a_loss_says_so_now_and_then_and_a_loss_is_told_at_once(
    courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.directions.HORIZON_NS", 0)
    replies = [courier.reflected(courier.request()[0]) for _ in range(40)]
    del replies[35]
    found = [note for reply in replies for note in notes(courier.taken(reply))]
    assert [dict(note.measures) for note in found] == [
        {Measure.THROUGH_SEQUENCE: 0},
        {Measure.THROUGH_SEQUENCE: 16},
        {Measure.THROUGH_SEQUENCE: 32},
        {Measure.THROUGH_SEQUENCE: 36, Measure.BACKWARD_LOST: 1},
    ]


def test_a_packet_that_we_failed_to_send_uses_no_number(courier: Courier) -> None:
    courier.request()
    huge = a_path("127.0.0.1", Udp(courier.sock.getsockname()[1], 65507), uid="peer-uid")
    (observation,) = courier.prober.send([a_probe(huge)])
    assert observation.outcome is Outcome.UNSUPPORTED
    assert [session.sequence for session in courier.prober._names.values()] == [1, 0]


async def test_survive_42_a_new_socket_changes_the_port_and_nothing_of_the_count(
    prober: UdpProber, reflector: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.probes.udp.TELL_EVERY", 1)
    path = path_to(reflector)
    await probed(prober, path)
    before = prober._lines.current(Family.IPV4)
    port = before.sock.getsockname()[1]
    before.opened_ns -= lines.LINE_LIFE_NS
    prober.send([a_probe(path)])
    assert prober._lines.current(Family.IPV4).sock.getsockname()[1] != port
    found = await awaited(prober, 1)
    assert [dict(note.measures) for note in notes(found)] == [{Measure.THROUGH_SEQUENCE: 1}]


async def test_a_restarted_reflector_invents_no_loss(
    prober: UdpProber, reflector: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.probes.udp.TELL_EVERY", 1)
    path = path_to(reflector)
    await probed(prober, path)
    port = reflector.port
    reflector.close()
    prober.send([a_probe(path)])
    assert [observation.outcome for observation in observations(await awaited(prober, 1))] == [Outcome.REFUSED]
    restarted = Reflector(Context(uid="peer-uid", keys=(KEY,)), port)
    restarted.open()
    prober.send([a_probe(path)])
    found = await awaited(prober, 1)
    restarted.close()
    assert [dict(note.measures) for note in notes(found)] == [{Measure.THROUGH_SEQUENCE: 2}]
    await asyncio.sleep(0)

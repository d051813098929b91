"""The measurements of exactness work from end to end; the figures themselves belong to the bench."""

import contextlib
import socket
import time

import pytest

from bench.capture import Capture
from bench.dropping import Dropped, DroppingLink
from bench.lines import accuracy, loss
from bench.measurement import Measurement, Spoilt
from bench.network import DEVICE, TARGET, Network
from lab.namespaces import call_inside
from wire.path import Kind

pytestmark = pytest.mark.lab
UDP_PORT, COUNT, ATTEMPTS = 8620, 20, 3


def send(network: Network) -> None:
    def datagrams() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(COUNT):
                sock.sendto(b"request", (TARGET, UDP_PORT))

    call_inside(network.prober, datagrams)


def listener() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.bind(("", UDP_PORT))
    return sock


def heard(sock: socket.socket) -> int:
    """Datagrams that have come since the last time: a veth delivers before sendto returns, or a moment later."""
    time.sleep(0.05)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while sock.recv(100):
            count += 1
    return count


def captured(capture: Capture, *, outgoing: bool) -> int:
    return sum(packet.outgoing is outgoing and packet.content.endswith(b"request") for packet in capture.packets())


def figures(measurement: Measurement) -> dict[str, float]:
    """Of the first round that the machine did not spoil; none where it was too busy for each."""
    with measurement:
        for _ in range(ATTEMPTS):
            with contextlib.suppress(Spoilt):
                return dict(measurement.round(quick=True))
    return {}


def test_every_packet_is_captured_at_both_ends_until_the_capture_is_stopped() -> None:
    with (
        Network("test") as network,
        Capture(network.prober, DEVICE, capacity=1000) as near,
        Capture(network.target, DEVICE, capacity=1000) as far,
    ):
        near.start()
        far.start()
        send(network)
        near.stop()
        far.stop()
        send(network)
        assert captured(near, outgoing=True) == captured(far, outgoing=False) == COUNT
        assert near.missed() == far.missed() == 0


def test_a_capture_without_room_says_so() -> None:
    with Network("test") as network, Capture(network.prober, DEVICE, capacity=1) as near:
        near.start()
        for _ in range(20):
            send(network)
        assert near.missed() > 0


def test_a_link_counts_what_it_drops_and_drops_nothing_unasked() -> None:
    with Network("test") as network, call_inside(network.target, listener) as listening:
        link = DroppingLink(network, UDP_PORT)
        send(network)
        assert (heard(listening), link.dropped()[Kind.UDP]) == (COUNT, Dropped(0, 0))
        link.drop(500)
        send(network)
        link.drop(0)
        came = heard(listening)
        assert link.dropped() == {Kind.UDP: Dropped(COUNT - came, 0), Kind.ICMP: Dropped(0, 0)}
        assert 0 < came < COUNT
        send(network)
        assert heard(listening) == COUNT


def test_an_agent_reports_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "SHARES", {"10": 100})
    monkeypatch.setattr(loss, "QUICK_SHARES", {"10"})
    monkeypatch.setattr(loss, "QUICK_PROBES", 500)
    measured = figures(loss.Loss())
    assert measured == dict.fromkeys(measured, 0)
    assert set(measured) in ({bar.name for bar in loss.Loss().bars}, set())


def test_errors_of_every_kind_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "CONDITIONS", {"quiet": 30.0})
    monkeypatch.setattr(accuracy, "QUICK_WINDOW_SECONDS", 1.0)
    assert set(figures(accuracy.Accuracy())) in ({bar.name for bar in accuracy.Accuracy().bars}, set())

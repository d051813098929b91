"""Many packets at once, and one by one where the machine has no such calls, on real sockets of loopback."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import bulk, kernel
from agent.bulk import BATCH, Arrival

ADDRESSES = ["127.0.0.1", "::1"]


@pytest.fixture(params=["at once", "one by one"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "one by one":
        monkeypatch.setattr(bulk, "_tables", lambda: None)
    return str(request.param)


@pytest.fixture
def opened() -> Iterator[Callable[[str], socket.socket]]:
    sockets: list[socket.socket] = []

    def make(address: str) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sockets.append(kernel.stamped(family, socket.SOCK_DGRAM, 0, kernel.transmit_match()))
        sockets[-1].bind((address, 0))
        return sockets[-1]

    yield make
    for sock in sockets:
        sock.close()


def place(sock: socket.socket) -> bytes:
    return bulk.sockaddr(*sock.getsockname()[:2])


def arrived(sock: socket.socket, count: int, *, told: bool = False) -> list[Arrival]:
    found: list[Arrival] = []
    end = time.monotonic() + 5
    while len(found) < count and time.monotonic() < end:
        found += bulk.arrivals(sock, most=BATCH, told=told)
    return found


def test_this_machine_sends_many_at_once(way: str) -> None:
    assert (bulk._tables() is not None) == (way == "at once")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(("count", "size"), [(1, 0), (3, 1), (BATCH, 100), (5, 9000), (2, 65_000)])
def test_what_is_sent_arrives_in_order_with_sender_stamp_and_hop_limit(
    opened: Callable[[str], socket.socket], address: str, count: int, size: int
) -> None:
    one, other = opened(address), opened(address)
    packets = [bytes([number]) * size for number in range(count)]
    assert bulk.send(one, packets, [place(other)] * count, list(range(count))) == count
    found = arrived(other, count)
    assert [arrival.packet for arrival in found] == packets
    assert {(arrival.sender, arrival.hop_limit) for arrival in found} == {(place(one), 64)}
    assert all(abs(arrival.stamp_ns - time.time_ns()) < 60 * 10**9 for arrival in found[1:])


def test_more_packets_than_one_call_takes_are_left_to_the_next(opened: Callable[[str], socket.socket], way: str) -> None:
    one, other = opened("127.0.0.1"), opened("127.0.0.1")
    count = BATCH + 7
    sent = bulk.send(one, [b"content"] * count, [place(other)] * count, list(range(count)))
    assert sent == (BATCH if way == "at once" else count)
    assert len(arrived(other, sent)) == sent


@pytest.mark.parametrize("address", ADDRESSES)
def test_transmit_stamps_come_back_with_their_identifiers(opened: Callable[[str], socket.socket], address: str) -> None:
    if kernel.transmit_match() is not kernel.TransmitMatch.IDENTIFIER:
        pytest.skip("SCM_TS_OPT_ID needs Linux 6.13")
    one, other = opened(address), opened(address)
    identifiers = [2**32 - 1, 7, 0]
    bulk.send(one, [b"a", b"b", b"c"], [place(other)] * 3, identifiers)
    departed, others = bulk.returned(one)
    stamps = dict(departed) | {entry.heard.identifier: entry.heard.stamp_ns for entry in others}
    assert sorted(key for key in stamps if key is not None) == sorted(identifiers)
    assert stamps[7] <= stamps[0]


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_own_address_is_told_where_it_is_asked_for(opened: Callable[[str], socket.socket], address: str) -> None:
    one, other = opened(address), opened(address)
    kernel.told_own_address(other)
    for _ in range(2):  # the first packet after the first stamping socket of the machine may be unstamped
        bulk.send(one, [b"a"], [place(other)], [])
    for arrival in arrived(other, 2, told=True):
        local = arrival.heard.local if arrival.heard else socket.inet_ntop(other.family, arrival.local)
        assert (local, arrival.hop_limit) == (address, 64)


def test_an_icmp_error_says_what_it_is_about(opened: Callable[[str], socket.socket]) -> None:
    one, gone = opened("127.0.0.1"), opened("127.0.0.1")
    target = place(gone)
    gone.close()
    bulk.send(one, [b"lost"], [target], [5])
    assert bulk.arrivals(one, most=BATCH) == [], "the error of an earlier send is no arrival"
    _, others = bulk.returned(one)
    (entry,) = (entry for entry in others if entry.heard.error is not None)
    assert (entry.packet[-4:], entry.target) == (b"lost", target)


def test_an_error_of_the_first_packet_is_raised_and_one_of_a_later_packet_ends_the_batch(
    opened: Callable[[str], socket.socket],
) -> None:
    one, other = opened("127.0.0.1"), opened("127.0.0.1")
    nowhere = bulk.sockaddr("255.255.255.255", 9)  # broadcast is not allowed unless one asks for it
    assert bulk.send(one, [b"a", b"b", b"c"], [place(other), nowhere, place(other)], [1, 2, 3]) == 1
    with pytest.raises(PermissionError):
        bulk.send(one, [b"b", b"c"], [nowhere, place(other)], [2, 3])


def test_nothing_there_is_nothing_found(opened: Callable[[str], socket.socket]) -> None:
    one = opened("127.0.0.1")
    assert bulk.arrivals(one, most=BATCH) == []
    assert bulk.returned(one) == ([], [])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.ip_addresses(), st.integers(0, 65_535))
def test_an_address_as_bytes_and_as_text_is_the_same_place(address: object, port: int) -> None:
    name = bulk.sockaddr(str(address), port)
    assert bulk.sockaddr(*bulk.address_of(name)[:2]) == name
    assert bulk.address_of(name)[1] == port


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_any_bytes_are_an_address_or_none(name: bytes) -> None:
    assert bulk.address_of(name)[1] in range(65_536)

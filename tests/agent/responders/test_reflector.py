"""The STAMP reflector on real sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from agent import stamp
from agent.probes.prober import Context
from agent.responders import reflector as module
from agent.responders.reflector import Reflector
from tests.agent.ports import free_port
from wire.plan import GroupKey

KEY, FOREIGN = GroupKey(3, b"sixteen byte key"), GroupKey(3, b"someone else's k")


@pytest.fixture
async def reflector() -> AsyncIterator[Reflector]:
    reflector = Reflector(Context(uid="peer-uid", keys=(KEY,)), free_port(), max_replies_per_second=100)
    reflector.open()
    yield reflector
    reflector.close()


def request(sequence: int = 0, key: GroupKey = KEY, padding: int = 0) -> bytes:
    return stamp.encode_request(
        sequence=sequence, identifier=1, sent_ns=1, key=key, nonce=bytes(8), session=b"session1", uid="own-uid", padding=padding
    )


async def answers(port: int, packets: list[bytes], address: str = "127.0.0.1", wait: float = 0.1) -> list[tuple[bytes, str]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for packet in packets:
            sock.sendto(packet, (address, port))
        found: list[tuple[bytes, str]] = []
        end = asyncio.get_running_loop().time() + wait
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.002)
            try:
                while True:
                    packet, sender = sock.recvfrom(65536)
                    found.append((packet, sender[0]))
                    end = asyncio.get_running_loop().time() + 0.02
            except BlockingIOError:
                continue
        return found


@pytest.mark.parametrize("address", ["127.0.0.1", "127.5.6.7", "::1"])
@pytest.mark.parametrize("padding", [0, 2000])
async def test_survive_57_a_reply_is_as_long_as_its_request_and_comes_from_the_address_asked(
    reflector: Reflector, address: str, padding: int
) -> None:
    packet = request(padding=padding)
    ((reply, source),) = await answers(reflector.port, [packet], address, wait=30)
    assert (len(reply), source) == (len(packet), address)
    decoded = stamp.decode_reply(reply, (KEY,))
    assert decoded.uid == "peer-uid"
    assert decoded.source == ("::1" if ":" in address else "127.0.0.1" if address == "127.0.0.1" else decoded.source)
    assert decoded.departed_ns >= decoded.received_ns > 0
    assert reply[40] == 64


async def test_survive_57_nobody_without_the_key_gets_a_byte_and_each_refusal_is_counted(reflector: Reflector) -> None:
    genuine = request()
    hostile = [
        b"",
        b"\0",
        bytes(44),
        bytes(1400),
        request(key=FOREIGN),
        genuine[:-1],
        genuine[:-1] + bytes([genuine[-1] ^ 1]),
        genuine + b"\x80\xc8\xff\xff",
        b"\xff" * 65000,
    ]
    assert await answers(reflector.port, hostile) == []
    assert reflector.dropped.total() == len(hostile)
    assert set(reflector.dropped) <= {"short", "malformed", "foreign", "proof"}
    assert len(await answers(reflector.port, [genuine], wait=30)) == 1


async def test_a_reply_that_is_sent_to_us_is_not_answered_so_that_two_reflectors_never_play_ping_pong(
    reflector: Reflector,
) -> None:
    ((reply, _),) = await answers(reflector.port, [request()], wait=30)
    assert await answers(reflector.port, [reply]) == []
    assert reflector.dropped == {"foreign": 1}


async def test_survive_57_replies_are_limited_to_so_many_a_second(
    reflector: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic_ns", lambda: 5 * 10**9)
    found = await answers(reflector.port, [request(number) for number in range(130)], wait=30)
    assert len(found) == 100
    assert reflector.dropped == {"rate": 30}
    monkeypatch.setattr(time, "monotonic_ns", lambda: 6 * 10**9)
    assert len(await answers(reflector.port, [request(200)], wait=30)) == 1


async def test_a_flood_leaves_the_loop_to_others_after_a_bounded_number_of_packets(reflector: Reflector) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(90):
            sock.sendto(request(number), ("127.0.0.1", reflector.port))
        (listener,) = (each for each in reflector._sockets if each.family == socket.AF_INET)
        reflector._readable(listener)
        assert reflector.replied == module.MOST_PER_WAKE_UP


async def test_requests_are_counted_once_each_and_per_session_not_per_port(reflector: Reflector) -> None:
    first = await answers(reflector.port, [request(0), request(0), request(2)], wait=30)
    then = await answers(reflector.port, [request(3)], wait=30)
    receipts = [stamp.decode_reply(packet, (KEY,)).receipt for packet, _ in first + then]
    assert [receipt.received for receipt in receipts] == [1, 1, 2, 3]
    assert (receipts[-1].highest, receipts[-1].bitmap) == (3, 0b1011)


async def test_before_the_first_plan_nobody_is_answered() -> None:
    reflector = Reflector(Context(), free_port())
    reflector.open()
    assert await answers(reflector.port, [request()]) == []
    assert reflector.dropped == {"proof": 1}
    reflector.close()
    reflector.close()


async def test_an_occupied_port_is_an_error_at_start() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::", 0))
        with pytest.raises(OSError, match="in use"):
            Reflector(Context(), taken.getsockname()[1]).open()


async def test_half_an_occupied_port_is_an_error_too_and_leaves_no_socket_behind() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        reflector = Reflector(Context(), taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            reflector.open()
    assert reflector._sockets == []

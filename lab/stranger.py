"""Somebody who is no colleague, and floods an agent with STAMP requests that are right but for the key.

    python -m lab.stranger PORT PACKETS_PER_SECOND ADDRESS...

Every eighth one is torn, longer than it says, or no STAMP packet at all. Whatever comes back is read and thrown away: how much
it is, the kernel counts.
"""

import itertools
import os
import random
import socket
import struct
import sys
import time

_BATCHES_PER_SECOND = 50
_MAGIC = b"nmtx"
_BASE = struct.Struct("!IIIHH28x")
_TLV = struct.Struct("!BBH")
_UNRECOGNIZED = 0x80
_LOCATION, _TIMESTAMPS, _HMAC, _MEMBERSHIP = 2, 3, 8, 252
_MEMBERSHIP_BYTES, _LOCATION_BYTES, _TIMESTAMPS_BYTES, _HMAC_BYTES = 120, 24, 4, 16
_SOURCE_IP = 7


def request(sequence: int, secret: bytes) -> bytes:
    """A request as an agent's (RFC 8762 with the TLVs of RFC 8972), with 16 bytes of `secret` where its HMAC stands."""
    uid = b"00000000-0000-4000-8000-000000000000"
    membership = struct.pack(
        "!4sII8s8s8sI16sB3x64s", _MAGIC, sequence, 0, secret[:8], secret[:8], bytes(8), 0, b"", len(uid), uid
    )
    location = struct.pack("!HHBBH16s", 0, 0, _UNRECOGNIZED, _SOURCE_IP, 16, b"")
    parts = [_BASE.pack(sequence, int(time.time()), 0, 0x4000 | 22 << 8 | 1, 0)]
    for kind, content in (
        (_MEMBERSHIP, membership),
        (_LOCATION, location),
        (_TIMESTAMPS, bytes(_TIMESTAMPS_BYTES)),
        (_HMAC, secret[:_HMAC_BYTES]),
    ):
        parts += [_TLV.pack(_UNRECOGNIZED, kind, len(content)), content]
    return b"".join(parts)


def flood(port: int, packets_per_second: int, addresses: list[str]) -> None:
    """Send until killed."""
    sockets = {
        address: socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        for address in addresses
    }
    for sock in sockets.values():
        sock.settimeout(0)
    numbers = itertools.count()
    chance = random.Random(0)  # noqa: S311 - no secret, and the same flood every time
    due = time.monotonic()
    while True:
        for _ in range(max(packets_per_second // _BATCHES_PER_SECOND, 1)):
            number = next(numbers)
            packet = request(number, os.urandom(16))
            torn = (packet[: chance.randrange(len(packet))], packet + os.urandom(64), os.urandom(chance.randrange(1, 400)))
            address = addresses[number % len(addresses)]
            try:
                sockets[address].sendto(packet if number % 8 else torn[number // 8 % 3], (address, port))
                sockets[address].recv(65535)
            except OSError:
                continue
        due += 1 / _BATCHES_PER_SECOND
        time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    flood(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])

"""The agent's own stub resolver: one question, one timed answer, no surprises (RFC 1035, RFC 7766).

In: an absolute name and a family. Out: addresses with what it took, or the word why there are none. There is no search list,
no hosts file and no second family; an answer counts only if it has the id, the question and the server that were asked; what is
truncated is asked again over TCP. Addresses are not judged here: whoever connects asks the deny list.
"""

import asyncio
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent.dns_message import NOERROR, NXDOMAIN, SERVFAIL, Question, Reply, question, reply_to
from agent.errno_words import word_for
from wire.address import DNS_PORT, refusal
from wire.outcome import Outcome
from wire.path import Family, Record, shortest

TIMEOUT_SECONDS = 1.0
"""For one server, TCP included."""
MAX_SERVERS = 2
MAX_ADDRESSES = 16
MAX_CACHED = 1024
MIN_TTL_SECONDS = 1
MAX_TTL_SECONDS = 60
_MAX_CONF_BYTES = 64 * 1024
_RECORD = {Family.IPV4: Record.A, Family.IPV6: Record.AAAA}
_WORDS = {NXDOMAIN: Outcome.DNS_NXDOMAIN, SERVFAIL: Outcome.DNS_SERVFAIL}
_LOCALHOST = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
"""Never asked for (RFC 6761 section 6.3); whether it may be probed is the deny list's to say."""
_TELLING = [Outcome.DNS_TIMEOUT, Outcome.DNS_ERROR, Outcome.DNS_SERVFAIL]
"""After these the next server is asked; in the order of how much they tell."""


class Resolved(NamedTuple):
    """What became of a name; `addresses` is empty exactly where there is an `outcome`."""

    addresses: tuple[str, ...]
    outcome: Outcome | None
    elapsed_ns: int
    """0 where it was known already."""


@dataclass(frozen=True, slots=True)
class _Found:
    addresses: tuple[str, ...]
    ttl_seconds: int


class Resolver:
    """Asks the first servers of a resolv.conf, which is read again for each question."""

    def __init__(self, resolv_conf: Path, *, port: int = DNS_PORT, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._resolv_conf = resolv_conf
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._cache: dict[tuple[str, Family], tuple[int, tuple[str, ...]]] = {}

    async def resolve(self, host: str, family: Family) -> Resolved:
        """Addresses of a name, at most 16, in the order of the answer; an address is its own."""
        started_ns = time.monotonic_ns()
        if host.rstrip(".") == "localhost":
            return Resolved((_LOCALHOST[family],), None, 0)
        if (literal := _literal(host)) is not None:
            fits = Family.of(literal) is family
            return Resolved((literal,), None, 0) if fits else Resolved((), Outcome.DNS_ERROR, 0)
        expires_ns, addresses = self._cache.get((host, family), (0, ()))
        if started_ns < expires_ns:
            return Resolved(addresses, None, 0)
        found = await self._ask(host, family)
        elapsed_ns = time.monotonic_ns() - started_ns
        if isinstance(found, Outcome):
            return Resolved((), found, elapsed_ns)
        self._cache.pop((host, family), None)
        if len(self._cache) >= MAX_CACHED:
            del self._cache[next(iter(self._cache))]
        self._cache[host, family] = started_ns + found.ttl_seconds * 1_000_000_000, found.addresses
        return Resolved(found.addresses, None, elapsed_ns)

    async def _ask(self, host: str, family: Family) -> _Found | Outcome:
        failures = []
        for server in nameservers(self._resolv_conf)[:MAX_SERVERS]:
            try:
                asked = question(host, _RECORD[family], secrets.randbelow(1 << 16))
            except ValueError:
                return Outcome.DNS_ERROR
            result = await self._answer_of(server, asked)
            if isinstance(result, _Found) or result not in _TELLING:
                return result
            failures.append(result)
        # A server that says something tells more than one that says nothing.
        return max(failures, key=_TELLING.index, default=Outcome.DNS_ERROR)

    async def _answer_of(self, server: str, asked: Question) -> _Found | Outcome:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return found_in(await _exchanged(asked, server, self._port))
        except TimeoutError:
            return Outcome.DNS_TIMEOUT
        except OSError as error:
            outcome = word_for(error)
            return outcome if outcome.is_local else Outcome.DNS_ERROR
        except (EOFError, ValueError):
            return Outcome.DNS_ERROR


def nameservers(resolv_conf: Path) -> tuple[str, ...]:
    """The servers that a resolv.conf names, in its order and in their shortest form; none where it cannot be read.

    What is no single host of plain form (a scope, multicast, broadcast, unspecified) is left out.
    """
    try:
        with resolv_conf.open("rb") as file:
            lines = file.read(_MAX_CONF_BYTES).decode("ascii", "replace").splitlines()
    except OSError:
        return ()
    named = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    literals = dict.fromkeys(literal for word in named if (literal := _literal(word)) is not None)
    return tuple(server for server in literals if refusal(server, resolvers=frozenset(literals), port=DNS_PORT) is None)


def found_in(reply: Reply) -> _Found | Outcome:
    """Addresses at the end of the answer's chain of names, or the word for why there are none."""
    if reply.code != NOERROR:
        return _WORDS.get(reply.code, Outcome.DNS_ERROR)
    if not reply.addresses:
        return Outcome.DNS_ERROR
    return _Found(reply.texts(MAX_ADDRESSES), min(max(reply.ttl_seconds, MIN_TTL_SECONDS), MAX_TTL_SECONDS))


async def _exchanged(asked: Question, server: str, port: int) -> Reply:
    """The server's answer; raises OSError, EOFError, or ValueError where it is nonsense."""
    loop = asyncio.get_running_loop()
    with _socket(server, socket.SOCK_DGRAM) as sock:
        # Connected: the kernel drops what comes from anybody else, and chose a random port of its own for this question.
        await loop.sock_connect(sock, (server, port))
        await loop.sock_sendall(sock, asked.wire)
        reply = None
        while reply is None:
            reply = reply_to(asked, await loop.sock_recv(sock, 65535))
    if not reply.truncated:
        return reply
    with _socket(server, socket.SOCK_STREAM) as sock:
        await loop.sock_connect(sock, (server, port))
        await loop.sock_sendall(sock, len(asked.wire).to_bytes(2, "big") + asked.wire)
        length = int.from_bytes(await _exactly(sock, 2), "big")
        reply = reply_to(asked, await _exactly(sock, length))
    if reply is None:
        raise ValueError("an answer to another question")
    return reply


async def _exactly(sock: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        piece = await asyncio.get_running_loop().sock_recv(sock, size - len(content))
        if not piece:
            raise EOFError("closed before the answer was complete")
        content += piece
    return bytes(content)


def _socket(server: str, kind: socket.SocketKind) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind | socket.SOCK_NONBLOCK)


def _literal(text: str) -> str | None:
    try:
        return shortest(text)
    except ValueError:
        return None

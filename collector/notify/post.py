"""One POST to a receiver: the edge that knows sockets, files with secrets, and what can come back.

In: a URL, or a file with one, headers and a body. Out: one word of what became of it, and never an exception. Nothing of a URL,
of a secret or of an answer gets into a text: what cannot be seen here is in the receiver's log. The final address is checked
when it is connected to, redirects are not followed, and an answer is not read beyond its head.
"""

import asyncio
import email.utils
import errno
import os
import socket
import ssl
import stat
from collections.abc import Mapping
from concurrent.futures import Executor
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

from collector.receivers import Authorities, Header, url_complaint
from wire.address import refusal

CONNECT_SECONDS: Final = 5.0
SKEW_SECONDS: Final = 5.0
NONSENSE_SECONDS: Final = 10 * 365 * 86_400.0
THREADS: Final = 4
"""For files and names, which may hang for a minute: threads of our own, so that nobody else waits for one."""
MAX_SECRET: Final = 8192
RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that a second attempt may get another of (RFC 9110, RFC 6585, RFC 8470)."""
_OF_THE_SYSTEM: Final = (("proc",), ("sys",), ("dev",))
_TOO_LONG: Final = 4
"""Digits of a Retry-After that is looked at."""
_AWAY = (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError, ValueError)


class Word(StrEnum):
    """What became of an attempt."""

    SENT = "sent"
    AWAY = "away"
    """No connection, none that can be trusted, or no answer in time."""
    FAILED = "failed"
    """An answer that is none, or a status that may be another one the next time."""
    REFUSED = "refused"
    """A status that will not change: this will never be taken."""
    DENIED = "denied"
    """It leads to where nothing may be sent."""
    UNREADABLE = "unreadable"
    """A file that the URL, a header or certificates are in cannot be used."""


class Attempt(NamedTuple):
    """What came of one POST."""

    word: Word
    status: int = 0
    """Of HTTP, where there was an answer."""
    retry_after: float | None = None
    """Seconds that the receiver asked to wait."""
    date: float | None = None
    """The receiver's clock, in Unix seconds."""


class Destination(Struct, frozen=True):
    """Where a POST goes."""

    to: Authorities
    url: str = ""
    url_file: str = ""
    timeout_seconds: float = 10.0
    loopback: bool = False


class _UnreadableError(Exception):
    """A file is not there, or holds what it should not."""


class _Resolver(AbstractResolver):
    """The system's resolver, on threads of our own."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """The addresses of a name; raises OSError."""
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=family, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing to end."""


class Post:
    """Sends to one destination, one POST after the other. What is in files is read anew each time: secrets are replaced."""

    def __init__(self, destination: Destination, threads: Executor) -> None:
        self._destination = destination
        self._threads = threads
        self._trust: tuple[object, ssl.SSLContext] | None = None
        self._denied = False

    async def send(self, body: bytes) -> Attempt:
        """One attempt."""
        self._denied = False
        try:
            async with asyncio.timeout(self._destination.timeout_seconds):
                return await self._send(body)
        except _UnreadableError:
            return Attempt(Word.UNREADABLE)
        except aiohttp.ClientResponseError:
            return Attempt(Word.FAILED)  # what came back is not HTTP
        except _AWAY:
            return Attempt(Word.DENIED if self._denied else Word.AWAY)

    async def _send(self, body: bytes) -> Attempt:
        url, headers, trust = await asyncio.get_running_loop().run_in_executor(self._threads, self._read)
        connector = aiohttp.TCPConnector(
            ssl=trust, force_close=True, use_dns_cache=False, resolver=_Resolver(self._threads), socket_factory=self._socket
        )
        timeout = aiohttp.ClientTimeout(total=self._destination.timeout_seconds, sock_connect=CONNECT_SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False, trust_env=False) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return judged(answer.status, answer.headers)

    def _socket(self, address: AddrInfoType) -> socket.socket:
        """A socket for a final address, where something may be sent to it: a name that leads elsewhere by now gets none."""
        family, kind, protocol, _, (host, *_) = address
        if refusal(str(host), allow_loopback=self._destination.loopback) is not None:
            self._denied = True
            raise OSError(errno.EACCES, "the address is on the deny list")
        return socket.socket(family, kind, protocol)

    def _read(self) -> tuple[str, dict[str, str], ssl.SSLContext | bool]:
        """URL, headers, and what its certificate is verified with."""
        where = self._destination
        url = text_of(where.url_file) if where.url_file else where.url
        if url_complaint(url) or (where.url_file and not url.startswith("https:")):
            raise _UnreadableError
        headers = {"Content-Type": "application/json", "User-Agent": "netmatrix-collector"}
        headers |= {header.name: _value(header) for header in where.to.headers}
        return url, headers, self._trusted(where.to.ca) if url.startswith("https:") else True

    def _trusted(self, file: str) -> ssl.SSLContext:
        try:
            state = Path(file).stat() if file else None
            version = state and (state.st_ino, state.st_mtime_ns, state.st_size)
            if self._trust is None or self._trust[0] != version:
                self._trust = version, ssl.create_default_context(cafile=file or None)
        except (OSError, ssl.SSLError, ValueError):
            raise _UnreadableError from None
        return self._trust[1]


def judged(status: int, headers: Mapping[str, str]) -> Attempt:
    """What an answer means by its head."""
    good = 200 <= status < 300  # noqa: PLR2004 - HTTP
    word = Word.SENT if good else Word.FAILED if status in RETRIED or status > 599 else Word.REFUSED  # noqa: PLR2004 - HTTP
    asked = headers.get("Retry-After", "").strip()
    seconds = float(asked) if asked.isascii() and asked.isdigit() and len(asked) <= _TOO_LONG else None
    try:
        date = email.utils.parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError, OSError, TypeError, IndexError):  # what the library has raised for odd dates so far
        date = None
    return Attempt(word, status, seconds, date)


def text_of(file: str) -> str:
    """What is in the file of a secret, without the end of its line.

    Our own token is no secret of a receiver's, and who may write a configuration may not have us send it.
    """
    try:
        path = Path(file).resolve(strict=True)
        if path.parts[1:2] in _OF_THE_SYSTEM or "kubernetes.io" in path.parts:
            raise _UnreadableError
        with open(path, "rb", opener=_at_once) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _UnreadableError
            text = stream.read(MAX_SECRET + 1).decode("ascii").strip()
    except (OSError, ValueError, RuntimeError):
        raise _UnreadableError from None
    if not 0 < len(text) <= MAX_SECRET or not all(" " <= c <= "~" for c in text):
        raise _UnreadableError
    return text


def _at_once(path: str, flags: int) -> int:
    """A file, and never a wait for somebody who writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def skew_seconds(date: float, now: float) -> float:
    """By how much the receiver's clock is ahead of ours; 0 for years, and for seconds, since its dates are in whole ones."""
    ahead = date - now
    return ahead if SKEW_SECONDS < abs(ahead) < NONSENSE_SECONDS else 0.0


def _value(header: Header) -> str:
    return text_of(header.file) if header.file else header.value

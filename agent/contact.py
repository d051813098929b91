"""How the agent talks to the collector: one connection for plans and reports.

In: a request. Out: an Answer, or Unreachable with one sentence, whatever went wrong. The token and the CA file are read again
for every request, since both rotate. No body is read beyond its limit, no redirect is followed, no proxy is asked.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from agent.connection import Server

FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 30.0
SPARE_DESCRIPTORS = 4
"""Kept open for the moment when there are no others: name server, hosts file, token, connection."""
MAX_TOKEN_BYTES = 16 * 1024
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


class Unreachable(Exception):  # noqa: N818 - a state of the world, in the words of the log line
    """There was no answer; the text says why in one sentence and never quotes the token."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector answered."""

    status: int
    body: bytes
    etag: str
    retry_after_seconds: float
    """What it asks us to wait; 0 where it does not."""


def back_off_seconds(attempt: int, seed: str, *, longest: float = LONGEST_DELAY_SECONDS) -> float:
    """How long to wait after the `attempt`-th failure in a row (from 1): 0.25 s, doubling, at most `longest`.

    Between half and all of that, by a hash of seed and attempt, so that agents that failed together do not return together.
    """
    digest = blake2b(f"{seed}/{attempt}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "little") / 2**64
    return min(FIRST_DELAY_SECONDS * 2.0 ** min(attempt - 1, 20), longest) * (0.5 + share / 2)


class Collector:
    """The collector's agent port. Use as `async with Collector(...).opened() as collector`."""

    def __init__(self, url: str, *, token_file: Path, ca_file: Path | None) -> None:
        self._token_file = token_file
        self._token = ""
        self._ca_file = ca_file
        self._ca_read: bytes | None = None
        self._context: ssl.SSLContext | None = None
        # What waits with the collector for nothing costs it memory, thousands of times: plans and reports take turns on one.
        self._server = Server(url)
        self._is_opened = False
        self._spares: list[int] = []

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Collector"]:
        """Hold the connections and the spare descriptors for as long as the context lasts."""
        self._is_opened = True
        self._take_spares()
        try:
            yield self
        finally:
            self._release_spares()
            self._is_opened = False
            self._server.close()
            await asyncio.sleep(0)  # an aborted connection closes its socket in the next turn of the loop

    async def get(self, path: str, headers: Mapping[str, str], *, limit: int, seconds: float) -> Answer:
        """GET a path of the agent port; the body has at most `limit` bytes and all of it takes at most so many seconds."""
        return await self._patiently(_Request("GET", path, headers, None, limit, seconds))

    async def post(self, path: str, headers: Mapping[str, str], body: bytes, *, limit: int, seconds: float) -> Answer:
        """POST a body to a path of the agent port; the limits are those of the answer."""
        return await self._patiently(_Request("POST", path, headers, body, limit, seconds))

    async def _patiently(self, request: "_Request") -> Answer:
        """Try once, and once more with the spare descriptors where there were no others."""
        try:
            return await self._try(request)
        except Unreachable as failure:
            if not _is_shortage(failure.__cause__):
                raise
        self._release_spares()
        try:
            return await self._try(request)
        finally:
            self._take_spares()

    async def _try(self, request: "_Request") -> Answer:
        if not self._is_opened:
            raise Unreachable("the client is closed")
        headers = {**request.headers, "Authorization": f"Bearer {self._read_token()}"}
        trust = self._read_trust()
        most = request.limit + 1
        try:
            async with asyncio.timeout(request.seconds):
                answer = await self._server.ask(request.method, request.path, headers, request.body, most=most, trust=trust)
        except TimeoutError as error:
            raise Unreachable(f"no answer within {request.seconds:g} s") from error
        except (OSError, ValueError) as error:
            # asyncio leaves failed connections in cycles, which would keep the frames of this call, and a report in each.
            raise Unreachable(str(error)[:200] or type(error).__name__) from error.with_traceback(None)
        if answer.cut or len(answer.body) > request.limit:
            raise Unreachable(f"the answer has more than {request.limit} bytes")
        texts = {name: answer.headers.get(name, b"").decode("latin-1") for name in (b"etag", b"retry-after")}
        return Answer(answer.status, bytes(answer.body), texts[b"etag"], _seconds(texts[b"retry-after"]))

    def _read_token(self) -> str:
        try:
            with self._token_file.open("rb") as file:
                token = file.read(MAX_TOKEN_BYTES).decode("ascii").strip()
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS and self._token:
                return self._token
            raise Unreachable(f"the token file cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise Unreachable("the token file holds something else than a token") from None
        if not token.isprintable() or not token or " " in token:
            raise Unreachable("the token file is empty" if not token else "the token file holds something else than a token")
        self._token = token
        return token

    def _read_trust(self) -> ssl.SSLContext | None:
        """The context that verifies the collector; built anew when the CA file changed. None for plain HTTP.

        A file that cannot be used leaves the last good one in force: it is mounted late, and may be empty for some minutes.
        """
        if not self._server.is_secure:
            return None
        try:
            read = self._ca_file.read_bytes() if self._ca_file else b""
            if self._context is None or read != self._ca_read:
                if self._ca_file and not read.strip():  # for which the ssl module would take the system's authorities
                    raise ValueError("empty")  # noqa: TRY301 - as bad as one that holds something else
                self._context = ssl.create_default_context(cadata=read.decode("ascii") if self._ca_file else None)
                self._ca_read = read
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError, UnicodeDecodeError a ValueError
            if self._context is None:
                raise Unreachable("the CA file cannot be used") from error
        return self._context

    def _take_spares(self) -> None:
        while len(self._spares) < SPARE_DESCRIPTORS:
            try:
                self._spares.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return

    def _release_spares(self) -> None:
        while self._spares:
            os.close(self._spares.pop())


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    limit: int
    seconds: float


def _is_shortage(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OUT_OF_DESCRIPTORS:
            return True
        error = error.__cause__ or error.__context__
    return False


def _seconds(value: str) -> float:
    return min(float(value), LONGEST_DELAY_SECONDS) if value.isascii() and value.isdigit() else 0.0

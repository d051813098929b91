"""Requests to the Kubernetes API, through the official client, of which only the connection is used.

Its models of all resources would take 100 MiB; what is used of the answers is decoded where it is used. In: a path and a
query. Out: status and bytes, or a stream of bytes. Every failure of the connection is one exception, and every status a value.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml
from aiohttp.connector import Connection
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)
from kubernetes.aio.config.kube_config import load_kube_config
from msgspec import Struct

from collector.discovery.cluster.retry_after import seconds_of

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Longest answer: 500 objects of 128 KiB."""
RELOAD_SECONDS = 5.0
"""How often credentials are read again at most, after they were refused."""
_UNAUTHORIZED = 401
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "netmatrix-collector"}
_AWAY = (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError, ApiException, ConfigException, ValueError)
_UNREADABLE = (ConfigException, OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError)
"""What the library raises for a file that is torn."""


class ApiAwayError(Exception):
    """No answer: the API server cannot be reached, does not answer in time, or our credentials cannot be read."""


class Answer(Struct, frozen=True):
    """What the API server said."""

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds to wait before it is asked again."""

    @property
    def good(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP


class Stream:
    """An answer that comes bit by bit, where its status is good."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.retry_after = seconds_of(response.headers.get("Retry-After"))

    async def bits(self) -> AsyncIterator[bytes]:
        """What arrives, as it arrives; raises ApiAwayError where the connection breaks or is silent for too long."""
        try:
            async for bit in self._response.content.iter_any():
                yield bit
        except _AWAY as error:
            raise ApiAwayError(_said(error)) from None


class _Response(aiohttp.ClientResponse):
    """An answer whose connection ends at once when it does not come: a farewell in TLS waits 30 s for one that may be stuck."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except BaseException:
            _end(connection)
            raise


def _end(connection: Connection) -> None:
    if connection.transport is not None:
        connection.transport.abort()


class Api:
    """One API server, with our credentials; those that were refused are read again.

    `kubeconfig` is a file with them; where there is none, they are those of the pod that this process runs in.
    """

    def __init__(self, kubeconfig: Path | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._client: ApiClient | None = None
        self._lock = asyncio.Lock()
        self._loaded = 0.0
        self._refused = False
        self.requests = 0
        """How many were sent so far."""

    async def close(self) -> None:
        """End all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def ask(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        body: object = None,
        content_type: str = "application/json",
        seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """One request and its whole answer; `body` is what becomes JSON. Raises ApiAwayError."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        async with self._sent(method, path, query, timeout, body=body, content_type=content_type) as response:
            parts: list[bytes] = []
            length = 0
            async for bit in Stream(response).bits():
                parts.append(bit)
                length += len(bit)
                if length > MAX_ANSWER_BYTES:
                    raise ApiAwayError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            return Answer(response.status, b"".join(parts), seconds_of(response.headers.get("Retry-After")))

    @asynccontextmanager
    async def stream(self, path: str, query: Sequence[tuple[str, str]], *, silence_seconds: float) -> AsyncIterator[Stream]:
        """An answer without an end, which breaks when nothing arrives for so long; raises ApiAwayError."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)
        async with self._sent("GET", path, query, timeout) as response:
            yield Stream(response)

    @asynccontextmanager
    async def _sent(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - of the library, which has several of them
        *,
        body: object = None,
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        response: aiohttp.ClientResponse | None = None
        try:
            try:
                client = await self._ready()
                # Without auth_settings the request leaves without our token, and without a word about that.
                _, url, headers, _, _ = await client.param_serialize(
                    method, path, query_params=list(query), header_params=dict(_HEADERS), auth_settings=["BearerToken"]
                )
                headers |= {"Content-Type": content_type, "User-Agent": _HEADERS["User-Agent"]}
                self.requests += 1
                answer = await client.rest_client.request(method, url, headers=headers, body=body, _request_timeout=timeout)
                response = answer.response
            except _AWAY as error:
                self._refused = self._refused or isinstance(error, aiohttp.ClientSSLError)
                raise ApiAwayError(_said(error)) from None
            self._refused = self._refused or response.status == _UNAUTHORIZED
            yield response
        finally:
            if response is not None:
                if response.connection is not None:  # there is more to come
                    _end(response.connection)
                response.close()

    async def _ready(self) -> ApiClient:
        """The client, made again where the API server took our credentials for nobody's, or we its certificate."""
        async with self._lock:
            if self._client is not None and not (self._refused and time.monotonic() - self._loaded > RELOAD_SECONDS):
                return self._client
            try:
                configuration = await self._configuration()
            except _UNREADABLE as error:
                raise ApiAwayError(f"our credentials cannot be read: {_said(error)}") from None
            await self.close()
            self._client, self._refused, self._loaded = ApiClient(configuration), False, time.monotonic()
            return self._client

    async def _configuration(self) -> Configuration:
        configuration = Configuration()
        configuration.client_session_kwargs = {"response_class": _Response}
        if self._kubeconfig is None:
            InClusterConfigLoader(SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME).load_and_set(configuration)
        else:
            await load_kube_config(config_file=str(self._kubeconfig), client_configuration=configuration, persist_config=False)
        return configuration


def reason_of(answer: Answer) -> str:
    """What the API server says of a refusal, in one short line."""
    try:
        said: Any = msgspec.json.decode(answer.body)
        text = str(said["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        text = ""
    shown = "".join(c if c.isprintable() else "?" for c in text[:200])
    return f"{answer.status} {shown}".strip()


def _said(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]

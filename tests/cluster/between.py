"""A proxy between a client and the real API server that lets everything through, save what a test has in mind for it.

It answers in the API server's stead, or holds a request back until a test lets it go; what it lets through is the real thing,
and it remembers what was asked, when, and how it ended.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from msgspec import Struct

from tests.cluster import tokens
from tests.cluster.plane import Plane

_OF_ONE_CONNECTION = frozenset({"connection", "host", "transfer-encoding", "content-length", "keep-alive"})
_RBAC = "/apis/rbac.authorization.k8s.io/v1"

Interference = Callable[[web.Request], Awaitable[web.Response | None]]


class Asked(Struct):
    """A request, and how it ended."""

    path: str
    query: dict[str, str]
    at: float
    """In seconds of the monotonic clock."""
    status: int = 0
    """0 while there is no answer."""

    @property
    def is_list(self) -> bool:
        """Whether it is for a list, or a page of one."""
        return "limit" in self.query


class Between:
    """The proxy; `interfere` is asked about each request first, and lets it through by None."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self.asked: list[Asked] = []
        self.interfere: Interference | None = None
        self.port = 0
        self._session: aiohttp.ClientSession | None = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        one = Asked(request.path, dict(request.query), time.monotonic())
        self.asked.append(one)
        if self.interfere is not None and (instead := await self.interfere(request)) is not None:
            one.status = instead.status
            return instead
        return await self._through(request, one)

    async def _through(self, request: web.Request, one: Asked) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        url = f"{self._plane.url}{request.raw_path}"
        response: web.StreamResponse | None = None
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False
            ) as answer:
                one.status = answer.status
                response = web.StreamResponse(status=answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in _OF_ONE_CONNECTION:
                        response.headers[name] = value
                await response.prepare(request)
                async for bit in answer.content.iter_any():
                    await response.write(bit)
                await response.write_eof()
                return response
        except (aiohttp.ClientError, OSError) as error:
            if response is not None:  # it broke in the middle, as it does for the client then
                if request.transport is not None:
                    request.transport.abort()
                return response
            one.status = 502
            raise web.HTTPBadGateway(text=str(error)) from None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Between"]:
        """While it is there."""
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(ssl=self._plane.credentials.context(), limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            self._session = session
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.port = runner.addresses[0][1]
                yield self
            finally:
                await runner.cleanup()

    def kubeconfig(self, name: str, folder: Path) -> Path:
        """Of somebody who may do everything, by a token, and comes this way."""
        space, api = "default", self._plane.api
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "subjects": [{"kind": "ServiceAccount", "namespace": space, "name": "default"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        }
        api.apply(f"{_RBAC}/clusterrolebindings/{name}", binding)
        file = self._plane.credentials.bearer(name, tokens.token(api, space, "default"))
        text = file.read_text().replace(self._plane.url, f"http://127.0.0.1:{self.port}")
        (folder / "kubeconfig").write_text(text)
        return folder / "kubeconfig"


async def held(condition: asyncio.Event) -> None:
    """Wait for a test's word, with an end to it."""
    async with asyncio.timeout(60):
        await condition.wait()

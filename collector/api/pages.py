"""Serves the page: files with their own policy, tags and compression."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from collector.alerts import RUNBOOKS
from collector.page import POLICY, Asset, assets, runbooks

HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-cache",
    "Content-Security-Policy": POLICY,
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
}


def add_page(app: web.Application) -> None:
    """Put the page under `/` and its files beside it."""
    for path, asset in assets().items():
        app.router.add_get(f"/{path}", _served(asset))


def add_runbooks(app: web.Application) -> None:
    """Put what to do about each alert where it is in the repository too, with and without its ending."""
    for name, text in runbooks().items():
        for path in (f"/{RUNBOOKS}{name}", f"/{RUNBOOKS}{name}.md"):
            app.router.add_get(path, _read(text))


def _read(text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A text for people, which no browser takes for anything else."""

    async def serve(_: web.Request) -> web.Response:
        return web.Response(text=text, headers=HEADERS)

    return serve


def _served(asset: Asset) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        headers = {**HEADERS, hdrs.ETAG: asset.tag, hdrs.CONTENT_TYPE: asset.type}
        if asset.tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
            return web.Response(status=304, headers=headers)
        if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(body=asset.compressed, headers={**headers, hdrs.CONTENT_ENCODING: "gzip"})
        return web.Response(body=asset.body, headers=headers)

    return serve

"""Serves the page: files with their own policy, tags and compression."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from collector.page import POLICY, Asset, assets

HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-cache",
    "Content-Security-Policy": POLICY,
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
}


def add_page(app: web.Application) -> None:
    """Put the page under `/` and its files beside it."""
    for path, asset in assets().items():
        app.router.add_get(f"/{path}", _served(asset))


def _served(asset: Asset) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        headers = {**HEADERS, hdrs.ETAG: asset.tag, hdrs.CONTENT_TYPE: asset.type}
        if asset.tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
            return web.Response(status=304, headers=headers)
        if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(body=asset.compressed, headers={**headers, hdrs.CONTENT_ENCODING: "gzip"})
        return web.Response(body=asset.body, headers=headers)

    return serve

"""A real Chromium that looks at the page: what it shows, what it complains of, and whom it asks."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

CHROMIUM = "chromium"
SWITCHES = (
    "--no-sandbox",  # tests run as root, and look at nothing but our own page
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Complaints:
    """What the browser said of the page, and every host that it asked."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def expect_none(self, host: str) -> None:
        """No error, no violated policy, and no other host."""
        assert self.errors == []
        assert self.hosts <= {host}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    if (path := shutil.which(CHROMIUM)) is None:
        pytest.skip("needs chromium (package chromium)")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=list(SWITCHES))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, url: str, *, width: int = 1280, height: int = 900, dark: bool = False
) -> AsyncIterator[tuple[Page, Complaints]]:
    """The page at an address, in a window of a certain size."""
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", accept_downloads=True
    )
    page = await context.new_page()
    seen = Complaints()
    page.on("console", lambda message: seen.errors.append(_said(message)) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.hosts.add(urlsplit(request.url).netloc) if request.url.startswith("http") else None)
    await page.goto(url)
    try:
        yield page, seen
    finally:
        await context.close()


def _said(message: ConsoleMessage) -> str:
    """What it says, and of which address: a refused question is told without."""
    return f"{message.text} {message.location['url']}"

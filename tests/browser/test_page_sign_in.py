"""Signing in on the page, and having paths probed from it: a real browser, the real application, agents that obey."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from collector.api.signing import Readers
from collector.permission import OperatorKeys
from tests.browser.driven import Complaints, chromium, opened
from tests.collector.api.acting import KEY, Collector, all_well, with_agents
from tests.collector.small_cluster import path_to as path_of
from tests.collector.small_cluster import report_of, window

pytestmark = pytest.mark.lab  # like all that needs Debian's packages

PATIENCE_MS = 30_000
PAIR = "#/pair?from=n1&to=n2"
NOW = 10**12


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n")
    return file


@asynccontextmanager
async def shown(keys: Path, mode: str, view: str) -> AsyncIterator[tuple[Page, Complaints, Collector]]:
    """The page of a collector where n1 has measured n2."""
    collector = Collector(keys)
    collector.actions._reads = mode == "all"
    collector.actions._round_seconds = 30.0
    path = path_of(collector.matrix, "n1", "n2").id
    collector.matrix.apply(report_of("n1", [window(path, [50_000] * 10)]), arrived_ns=NOW, counted=True)
    readers = Readers(OperatorKeys(keys), refused=lambda _: None) if mode == "all" else None
    async with (
        TestServer(collector.app(sign_in=mode, readers=readers)) as server,
        chromium() as browser,
        opened(browser, f"{server.make_url('/')}{view}") as (page, seen),
    ):
        yield page, seen, collector


async def sign_in(page: Page, token: str) -> None:
    await page.get_by_role("textbox", name="Token").fill(token)
    await page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


async def stored(page: Page) -> list[Any]:
    """All that the browser would keep of a page."""
    found: list[Any] = await page.evaluate("[document.cookie, localStorage.length, sessionStorage.length, location.href]")
    return found


async def test_whoever_signed_in_has_a_pair_probed_and_sees_what_came_of_it(keys: Path) -> None:
    async def look() -> None:
        await page.get_by_role("button", name="Sign in").click()
        await sign_in(page, "a-wrong-key-of-no-use")
        await expect(page.get_by_role("alert")).to_contain_text("the token is not known", timeout=PATIENCE_MS)
        await sign_in(page, KEY)
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Probe now").click()
        table = page.get_by_role("region", name="Probed now, n1 → n2")
        await expect(table.get_by_role("row").nth(1)).to_contain_text("answered", timeout=PATIENCE_MS)
        assert KEY not in str(await stored(page))
        await page.reload()
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.get_by_role("button", name="Probe now")).to_be_hidden()

    async with shown(keys, "actions", PAIR) as (page, _, collector):
        await expect(page.locator("main")).to_contain_text("Sign in to probe it now", timeout=PATIENCE_MS)
        await with_agents(collector, all_well, look())


async def test_without_a_sign_in_there_is_no_button_and_the_command_is_named(keys: Path) -> None:
    async with shown(keys, "off", PAIR) as (page, seen, _):
        await expect(page.locator("main")).to_contain_text("netmatrix probe n1 n2", timeout=PATIENCE_MS)
        await expect(page.get_by_role("button", name="Probe now")).to_be_hidden()
        await expect(page.get_by_role("button", name="Sign in")).to_have_count(0)
        assert not [error for error in seen.errors if "404" not in error]  # it has no history


async def test_where_reading_needs_a_token_nothing_is_shown_before_and_everything_after(keys: Path) -> None:
    async with shown(keys, "all", "#/?measure=loss") as (page, _, _collector):
        await expect(page.get_by_role("dialog")).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator("#age")).to_contain_text("sign in")
        await expect(page.locator("#matrix-words")).to_have_count(0)  # names are drawn, and so in no text
        await sign_in(page, KEY)
        await expect(page.locator("#matrix-words")).to_contain_text("measured", timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator("#age")).to_contain_text("sign in", timeout=PATIENCE_MS)
        await expect(page.locator("#matrix-words")).to_have_count(0)


async def test_a_token_that_ends_while_the_page_is_open_is_asked_for_again(keys: Path) -> None:
    async with shown(keys, "all", "#/?measure=loss") as (page, _, _collector):
        await sign_in(page, KEY)
        await expect(page.locator("#matrix-words")).to_contain_text("measured", timeout=PATIENCE_MS)
        await page.route(
            "**/api/v1/incidents", lambda route: route.fulfill(status=401, json={"error": "the token has expired"})
        )
        await expect(page.get_by_role("alert")).to_contain_text("the token has expired", timeout=PATIENCE_MS)
        await page.unroute("**/api/v1/incidents")
        await sign_in(page, KEY)
        await expect(page.locator("#age")).not_to_contain_text("expired", timeout=PATIENCE_MS)

"""What a person sees of a real cluster with a real fault, in a real browser."""

import asyncio
import csv
import io
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from lab.cluster import Cluster
from lab.faults import KillCollector, Loss
from lab.scenario import PLAN
from lab.shape import Shape
from lab.watch import Watch
from tests.browser.driven import chromium, opened

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

PATIENCE_MS = 60_000
WIDTHS = (375, 1280)
expect.set_options(timeout=PATIENCE_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """Four nodes, of which n2 loses half of what comes in, and the collector has said so."""
    one = Cluster(Shape(nodes=4, zones=2, namespaces=("shop", "pay")), f"page{os.getpid()}", PLAN)
    try:
        await one.up()
        async with aiohttp.ClientSession() as session:
            await Watch(one.api_url, session).ready(90)
            await one.apply(Loss(node="n2", direction="in", percent=50.0))
            for _ in range(60):
                told = await Watch(one.api_url, session).ask("incidents")
                if told and any(incident["component"] == "n2" for incident in told["incidents"]):
                    break
                await asyncio.sleep(1)
            else:
                pytest.fail("no incident for n2")
        yield one
    finally:
        await one.down()


def host(cluster: Cluster) -> str:
    return cluster.api_url.removeprefix("http://")


async def colours(page: Page) -> list[list[str]]:
    """The colour in the middle of every cell of the matrix, row by row, as it is drawn."""
    found: list[list[str]] = await page.evaluate(
        """() => {
            const canvas = document.querySelector('.board canvas'), board = canvas.board;
            const ratio = devicePixelRatio, pen = canvas.getContext('2d'), { left, top, cell } = board.place;
            const within = (start, number) => (start + (number + 0.15) * cell) * ratio;
            return board.picture.rows.map((_, row) => board.picture.columns.map((_, column) => {
                const at = pen.getImageData(within(left, column), within(top, row), 1, 1).data;
                return [...at.slice(0, 3)].join();
            }));
        }"""
    )
    return found


async def test_the_fault_is_in_the_sentence_on_top_and_in_its_row_and_column(browser: Browser, cluster: Cluster) -> None:
    async with opened(browser, cluster.api_url) as (page, seen):
        await expect(page.locator("#verdict")).to_contain_text("n2")
        await expect(page.locator("#matrix-words")).to_contain_text("with a fault")
        rows = await colours(page)
        good = rows[0][2]
        assert rows[2][3] == good
        assert all(rows[row][1] != good for row in (0, 2, 3))
        assert all(rows[1][column] != good for column in (0, 2, 3))
        seen.expect_none(host(cluster))


async def test_two_clicks_lead_from_the_zones_to_the_layer_that_fails(browser: Browser, cluster: Cluster) -> None:
    async with opened(browser, f"{cluster.api_url}/#/?by=zone") as (page, seen):
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")
        await page.get_by_role("application").focus()
        for key in ("ArrowRight", "Enter"):
            await page.keyboard.press(key)
        await expect(page.get_by_role("list", name="Where this is")).to_contain_text("z1 → z1")
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")
        await page.get_by_role("application").focus()
        for key in ("ArrowRight", "ArrowRight", "Enter"):
            await page.keyboard.press(key)
        await expect(page.get_by_role("heading", level=1)).to_have_text("n1 ↔ n2")
        await expect(page.locator(".ladder").first).to_contain_text("This is the first layer that fails")
        await page.go_back()
        await expect(page.get_by_role("list", name="Where this is")).to_contain_text("z1 → z1")
        seen.expect_none(host(cluster))


async def test_a_click_on_the_sentence_leads_to_the_evidence(browser: Browser, cluster: Cluster) -> None:
    async with opened(browser, cluster.api_url) as (page, seen):
        # Others may be open beside it, and newer ones come first: n2 has the name server on it, among other things.
        await page.locator("#verdict li a").filter(has_text="n2").first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("n2")
        await expect(page.get_by_role("heading", name="Evidence")).to_be_visible()
        await expect(page.locator("main")).to_contain_text("node")
        seen.expect_none(host(cluster))


async def test_an_incident_has_its_timeline_its_paths_and_its_runbook_and_stays_in_the_history(
    browser: Browser, cluster: Cluster
) -> None:
    async with opened(browser, f"{cluster.api_url}/#/incidents") as (page, seen):
        await page.locator(".card a").first.click()
        steps = page.get_by_role("list", name="What happened").get_by_role("listitem")
        await expect(steps.first).to_contain_text("opened")
        await expect(page.get_by_role("list", name="What happened")).to_contain_text("fired")
        await expect(page.get_by_role("region", name="Paths that show it")).to_contain_text("n2")
        await expect(page.get_by_role("link", name="runbooks")).to_have_attribute(
            "href", re.compile("^docs/runbooks/Netmatrix")
        )
        await page.goto(f"{cluster.api_url}/#/incidents")
        past = page.get_by_role("region", name="Incidents, the latest first")
        await expect(past).to_contain_text("n2", timeout=2 * PATIENCE_MS)  # it is written once a minute
        await expect(past).to_contain_text("still open")
        seen.expect_none(host(cluster))


async def test_a_pair_has_its_ladder_its_rules_its_packet_sizes_and_its_last_hour(browser: Browser, cluster: Cluster) -> None:
    async with opened(browser, f"{cluster.api_url}/#/pair?from=n1&to=n2") as (page, seen):
        await expect(page.locator(".ladder").first).to_contain_text("This is the first layer that fails")
        known = page.get_by_role("list", name="What is known of n1 → n2")
        await expect(known).to_contain_text("No address is translated between the pods (no NAT)")
        await expect(known).to_contain_text("(MTU)")
        await expect(page.get_by_role("region", name="What should hold")).to_contain_text("no rule is about it")
        await expect(page.get_by_role("region", name="n1 → n2", exact=True)).to_contain_text("timeout")
        chart = page.get_by_role("img", name="n1 → n2: loss over time")
        await expect(chart).to_be_visible(timeout=2 * PATIENCE_MS)  # a point is kept once a minute
        seen.expect_none(host(cluster))


async def test_what_is_shown_can_be_taken_away(browser: Browser, cluster: Cluster, tmp_path: Path) -> None:
    async with opened(browser, f"{cluster.api_url}/#/?measure=loss") as (page, seen):
        await expect(page.locator("#matrix-words")).to_contain_text("lost")
        files = {}
        for name in ("CSV", "JSON", "PNG"):
            async with page.expect_download() as download:
                await page.get_by_role("button", name=name, exact=True).click()
            file = tmp_path / name
            await (await download.value).save_as(file)
            files[name] = file.read_bytes()
        rows = list(csv.DictReader(io.StringIO(files["CSV"].decode())))
        assert {(row["from"], row["to"]) for row in rows} >= {("n1", "n2"), ("n2", "n1")}
        assert next(row["loss"] for row in rows if (row["from"], row["to"]) == ("n1", "n3")) == "none lost"
        assert json.loads(files["JSON"])["by"] == "node"
        assert files["PNG"].startswith(b"\x89PNG")
        seen.expect_none(host(cluster))


async def test_every_control_has_a_name_and_the_matrix_a_table(browser: Browser, cluster: Cluster) -> None:
    async with opened(browser, cluster.api_url) as (page, seen):
        await expect(page.locator("#matrix-words")).to_contain_text("with a fault")
        for label in ("Rows", "Columns", "Layer", "Measure"):
            await expect(page.get_by_role("combobox", name=label)).to_be_visible()
        unnamed = await page.evaluate(
            "() => [...document.querySelectorAll('button, a, canvas[tabindex]')]"
            ".filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML)"
        )
        assert unnamed == []
        await page.get_by_role("button", name="Table").click()
        first = page.locator("tbody tr").first
        await expect(first).to_contain_text("n2")
        await first.get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("n2")
        seen.expect_none(host(cluster))


@pytest.mark.parametrize("width", WIDTHS)
async def test_every_view_is_as_wide_as_its_window_in_light_and_in_dark(browser: Browser, cluster: Cluster, width: int) -> None:
    async with aiohttp.ClientSession() as session:
        told = await Watch(cluster.api_url, session).ask("incidents")
    ids = [one["id"] for one in (told or {"incidents": []})["incidents"]]
    views = ["", "#/?table=1", "#/incidents", *(f"#/incident/{name}" for name in ids[:1]), "#/expectations", "#/agents"]
    views.append("#/pair?from=n1&to=n2")
    for dark in (False, True):
        async with opened(browser, cluster.api_url, width=width, dark=dark) as (page, seen):
            for view in views:
                await page.goto(f"{cluster.api_url}/{view}")
                await expect(page.locator("#age")).to_contain_text("data of")
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, view
            seen.expect_none(host(cluster))


MISSING = {
    "#/nowhere": "There is no such page",
    "#/incident/ffff": "There is no such incident",
    "#/pair?from=n1&to=n99": "Nothing is called “n99”",
    "#/pair?from=n1&to=n2&span=9y": "span must be a duration",
    "#/?from=n77": "Nothing is called “n77”",
    "#/?from=zone/z9&to=zone/z1": "Nothing is called “zone/z9”",
    "#/?by=node:colour": "by must be one of",
    "#/incidents?span=yesterday": "since must be a time",
    "#/pair?from=n1": "needs from and to",
    "#/?by=colour": "by must be one of",
    "#/?layer=moon": "layer must be one of",
    "#/?span=9y": "span must be a duration",
}


async def test_what_does_not_exist_is_said_and_what_exists_is_offered(browser: Browser, cluster: Cluster) -> None:
    async with opened(browser, cluster.api_url) as (page, _):
        for address, words in MISSING.items():
            await page.goto(f"{cluster.api_url}/{address}")
            await expect(page.locator("main")).to_contain_text(words)
            assert await page.locator("main a").count() >= 1, address
        await page.goto(f"{cluster.api_url}/#/pair?from=n1&to=n99")
        await page.locator("main").get_by_role("link", name="n2", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("n1 ↔ n2")
        await page.goto(f"{cluster.api_url}/#/?from=zone/z9&to=zone/z1&by=node")
        await page.locator("main").get_by_role("link", name="zone/z2", exact=True).click()
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")


async def test_a_page_says_how_old_its_data_is_while_the_collector_is_away_and_recovers(
    browser: Browser, cluster: Cluster
) -> None:
    async with opened(browser, f"{cluster.api_url}/#/?measure=loss") as (page, _):
        await expect(page.locator("#matrix-words")).to_contain_text("lost")
        gone = KillCollector()
        await cluster.apply(gone)
        await expect(page.locator("#age")).to_contain_text("cannot be reached")
        await expect(page.locator("#matrix-words")).to_contain_text("lost")  # what was there stays
        await cluster.clear(gone)
        await expect(page.locator("#age")).not_to_contain_text("cannot be reached")
        await expect(page.locator("#matrix-words")).to_contain_text("measured")

"""What a person sees of a matrix of known content: the real application with a real page, and reports made by the test."""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, Route, expect

from collector.api.histories import add_history
from collector.history.columns import Point
from tests.browser.driven import Complaints, chromium, opened
from tests.collector.api.acting import Collector
from tests.collector.api.test_histories import Remembered
from tests.collector.small_cluster import path_to, plans_of, replan, report_of, window
from wire.outcome import Outcome
from wire.report import pack

pytestmark = pytest.mark.lab  # like all that needs Debian's packages

NOW = 10**12
SECOND = 10**9
expect.set_options(timeout=30_000)


class Hour(Remembered):
    """An hour in which n1 lost more and more."""

    async def points(self, dimension: str, source: str, target: str) -> list[Point]:
        self.asked.append((dimension, source, target))
        return [Point(60 * minute, 100, minute, minute / 100, 100.0, 200.0 + minute) for minute in range(1, 61)]


def measured(keys: Path) -> Collector:
    """n1 loses half to n2 and sees its address translated; it has not asked n3 for 500 s."""
    collector = Collector(keys)
    matrix = collector.matrix
    old = [window(path_to(matrix, "n1", "n3", kind).id, [80_000] * 3, late=1) for kind in ("udp", "icmp")]
    matrix.apply(report_of("n1", old), arrived_ns=NOW - 500 * SECOND, counted=True)
    plans = plans_of()
    gone = {path_to(matrix, "n1", "n3", kind).id for kind in ("udp", "icmp")}
    kept = tuple(planned for planned in plans["n1"].paths if planned.path.id not in gone)
    replan(matrix, plans={**plans, "n1": msgspec.structs.replace(plans["n1"], paths=kept)})
    half = window(path_to(matrix, "n1", "n2").id, [50_000] * 5, failed={Outcome.TIMEOUT: 5})
    columns = msgspec.structs.replace(pack([half]), facts=((0, "source", "192.0.2.9"), (0, "hop_limit", "62")))
    matrix.apply(report_of("n1", columns=columns, sequence=2), arrived_ns=NOW, counted=True)
    well = window(path_to(matrix, "n2", "n1").id, [60_000] * 10)
    matrix.apply(report_of("n2", [well]), arrived_ns=NOW, counted=True)
    return collector


@asynccontextmanager
async def shown(folder: Path, view: str) -> AsyncIterator[tuple[Page, Complaints]]:
    app = measured(folder / "none").app()
    add_history(app, Hour())
    async with TestServer(app) as server, chromium() as browser, opened(browser, f"{server.make_url('/')}{view}") as found:
        yield found


async def test_a_pair_shows_both_ways_its_ladders_its_hour_and_what_is_known_of_addresses(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/pair?from=n1&to=n2") as (page, seen):
        forth, back = page.locator(".ladder").nth(0), page.locator(".ladder").nth(1)
        await expect(forth).to_contain_text("5 of 10 probes lost by udp. This is the first layer that fails")
        await expect(back).to_contain_text("0 of 10 probes lost by udp")
        await expect(forth).to_contain_text("not probed between these two")
        known = page.get_by_role("list", name="What is known of n1 → n2")
        await expect(known).to_contain_text("the other side sees n1 as 192.0.2.9")
        await expect(known).to_contain_text("passed 2 routers")
        await expect(page.get_by_role("list", name="What is known of n2 → n1")).to_contain_text("No address is translated")
        for direction in ("n1 → n2", "n2 → n1"):
            chart = page.get_by_role("img", name=f"{direction}: loss")
            assert await chart.get_attribute("aria-label") == f"{direction}: loss over time: now 60 %, at most 60 %"
            await expect(page.get_by_role("img", name=f"{direction}: p99")).to_be_visible()
        await expect(page.get_by_role("region", name="n1 → n2", exact=True)).to_contain_text("5 timeout")
        assert seen.errors == []


async def test_a_pair_can_be_taken_away_and_turned_around_and_leads_back(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/pair?from=n1&to=n2&measure=loss") as (page, _):
        await expect(page.locator(".ladder").first).to_be_visible()
        files = {}
        for name in ("CSV", "JSON", "PNG"):
            async with page.expect_download() as download:
                await page.get_by_role("button", name=name, exact=True).click()
            files[name] = (await (await download.value).path()).read_bytes()
        rows = list(csv.DictReader(io.StringIO(files["CSV"].decode())))
        lost = {(row["from"], row["to"]): row["loss"] for row in rows if row["sent"] == "10"}
        assert lost == {("n1", "pod/netmatrix/agent-n2"): "0.5", ("n2", "pod/netmatrix/agent-n1"): "0"}
        told = json.loads(files["JSON"])
        assert (told["from"], told["to"], len(told["history"]["forth"]["points"])) == ("n1", "n2", 60)
        assert files["PNG"].startswith(b"\x89PNG")
        await page.get_by_role("link", name="Turn around").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("n2 ↔ n1")
        await page.get_by_role("list", name="Where this is").get_by_role("link", name="nodes").click()
        await expect(page.locator("#matrix-words")).to_contain_text("3 by")


async def test_what_is_not_in_the_plan_has_its_last_result_and_age_on_the_pair_and_on_hover(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/?measure=loss&by=node") as (page, _):
        await expect(page.locator(".legend")).to_contain_text("unsampled")
        await page.get_by_role("application").focus()
        for _ in range(3):
            await page.keyboard.press("ArrowRight")
        tip = page.get_by_role("tooltip")
        await expect(tip).to_contain_text("n1 → n3")
        await expect(tip).to_contain_text("last result, pod")
        await expect(tip).to_contain_text("8 min ago: 1 of 4 lost")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("n1 ↔ n3")
        await expect(page.get_by_role("region", name="n1 → n3", exact=True)).to_contain_text(
            "last result 8 min ago: 1 of 4 lost"
        )


async def test_hover_shows_the_numbers_and_the_because_of_the_worst_path(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/?measure=loss&by=node") as (page, _):
        await expect(page.locator("#matrix-words")).to_contain_text("n1 → n2 (up to 50 % lost)")
        await page.get_by_role("application").focus()
        for _ in range(2):
            await page.keyboard.press("ArrowRight")
        tip = page.get_by_role("tooltip")
        await expect(tip).to_contain_text("50 % lost: 5 of 10 probes in")
        await expect(tip).to_contain_text("The worst path (pod udp): 5 of 10 probes lost within")


async def test_any_two_dimensions_are_rows_and_columns_and_a_choice_keeps_the_keyboard_where_it_is(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/?measure=loss") as (page, _):
        await page.get_by_role("combobox", name="Rows").select_option("zones")
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 3")
        await page.get_by_role("combobox", name="Columns").select_option("services")
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 1")
        assert "by=zone%3Aservice" in page.url
        measure = page.get_by_role("combobox", name="Measure")
        await measure.focus()
        await measure.select_option("verdict")
        await expect(page.get_by_role("combobox", name="Over")).to_have_count(0)
        await measure.select_option("loss")
        await expect(page.get_by_role("combobox", name="Over")).to_be_visible()
        await expect(measure).to_be_focused()


async def test_from_zones_to_nodes_to_a_pair_with_the_keyboard_and_back(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/?measure=loss&by=zone") as (page, _):
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")
        for words in ("z1 → z1", ""):
            await page.get_by_role("application").focus()
            await page.keyboard.press("ArrowRight")
            if not words:
                await page.keyboard.press("ArrowRight")
            await page.keyboard.press("Enter")
            if words:
                await expect(page.get_by_role("list", name="Where this is")).to_contain_text(words)
                await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")
        await expect(page.get_by_role("heading", level=1)).to_have_text("n1 ↔ n2")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("list", name="Where this is")).to_contain_text("z1 → z1")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("list", name="Where this is")).to_have_text("all zones")


async def test_what_a_person_has_in_hand_stays_while_the_page_is_made_anew(tmp_path: Path) -> None:
    """The focus on a link, how far a table is scrolled to the side, and selected text."""
    async with shown(tmp_path, "#/pair?from=n1&to=n2") as (page, _):
        await page.set_viewport_size({"width": 375, "height": 800})
        table = page.get_by_role("region", name="n1 → n2", exact=True)
        await expect(table).to_be_visible()
        await table.evaluate("one => { one.scrollLeft = 40; one.marked = true; }")
        await page.get_by_role("link", name="Turn around").focus()
        await expect(page.locator("body")).to_be_visible()
        for _ in range(2):
            await page.get_by_role("button", name="Pause").evaluate("one => (one.click(), one.click())")
        await page.wait_for_function("() => ![...document.querySelectorAll('.scroll')].some((one) => one.marked)")
        await expect(table).to_have_js_property("scrollLeft", 40)
        await expect(page.get_by_role("link", name="Turn around")).to_be_focused()
        await page.evaluate("getSelection().selectAllChildren(document.querySelector('.ladder'))")
        await expect(page.locator("#age")).to_contain_text("waiting while text is selected")
        await page.evaluate("getSelection().removeAllRanges()")
        await expect(page.locator("#age")).not_to_contain_text("selected")


async def test_what_a_person_takes_in_hand_while_an_answer_is_on_its_way_stays(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/pair?from=n1&to=n2") as (page, _):
        await page.set_viewport_size({"width": 375, "height": 800})
        table = page.get_by_role("region", name="n1 → n2", exact=True)
        await expect(table).to_be_visible()
        async with answer_on_its_way(page):
            await table.evaluate("one => { one.scrollLeft = 40; one.marked = true; }")
            await page.get_by_role("link", name="Turn around").focus()
        await page.wait_for_function("() => ![...document.querySelectorAll('.scroll')].some((one) => one.marked)")
        await expect(table).to_have_js_property("scrollLeft", 40)
        await expect(page.get_by_role("region", name="n2 → n1", exact=True)).to_have_js_property("scrollLeft", 0)
        await expect(page.get_by_role("link", name="Turn around")).to_be_focused()
        async with answer_on_its_way(page):
            await page.evaluate("getSelection().selectAllChildren(document.querySelector('.ladder'))")
        await expect(page.locator("#age")).to_contain_text("waiting while text is selected")
        assert await page.evaluate("getSelection().toString()")
        await page.evaluate("getSelection().removeAllRanges()")
        await expect(page.locator("#age")).not_to_contain_text("selected")


@asynccontextmanager
async def answer_on_its_way(page: Page) -> AsyncIterator[None]:
    """The page has asked for a pair anew, and is answered after that; it has made of the answer what it makes of it."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def held(route: Route) -> None:
        asked.set()
        await answered.wait()
        await route.continue_()

    await page.route("**/api/v1/pair?*", held)
    async with asyncio.timeout(30):
        await asked.wait()
    yield
    async with page.expect_response("**/api/v1/why?from=n2*"):  # the last that is asked for a pair
        answered.set()
    await page.unroute("**/api/v1/pair?*")


WRONG = {
    "#/pair?from=n1&to=n99": "Nothing is called “n99”",
    "#/?from=zone/z9&measure=loss": "Nothing is called “zone/z9”",
    "#/?by=colour": "by must be one of",
    "#/?layer=moon": "layer must be one of",
    "#/?span=9y&measure=loss": "span must be a duration",
    "#/incident/ffff": "There is no such incident",
}


async def test_what_does_not_exist_is_said_while_all_else_on_the_page_stays(tmp_path: Path) -> None:
    async with shown(tmp_path, "#/?measure=loss") as (page, _):
        for view, words in WRONG.items():
            await page.evaluate("view => { location.hash = view; }", view)
            await expect(page.locator("main")).to_contain_text(words)
            await expect(page.locator("#verdict")).to_contain_text("Nothing is judged yet")
            await expect(page.locator("#age")).to_have_text(re.compile(r"^data of \d+ s ago$"))
            assert await page.locator("main a").count() >= 1, view
        await page.evaluate("location.hash = '#/?from=zone/z9&measure=loss&by=node'")
        await page.locator("main").get_by_role("link", name="zone/z2", exact=True).click()
        await expect(page.locator("#matrix-words")).to_contain_text("1 by")
        await expect(page.get_by_role("application")).to_be_visible()

"""What the page makes of answers that are hostile, halved, late or missing: text stays text, and it says what is wrong.

Names of a real cluster cannot be so bad (see wire.text), but a page must not depend on it. So a server of the test's own
answers in place of a collector, with the real page.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import expect

from collector.api.events import Beats, Events
from collector.api.guard import guarded
from collector.api.pages import add_page
from tests.browser.driven import chromium, opened

pytestmark = pytest.mark.lab  # like all that needs Debian's packages

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>'\"&amp;\u202e=1+1"
PATIENCE_MS = 30_000


def incident(sentence: str) -> dict[str, Any]:
    return {
        "id": "0123456789abcdef",
        "kind": "node",
        "component": EVIL,
        "layer": "pod",
        "direction": "in",
        "effect": "loss",
        "severity": "critical",
        "phase": "firing",
        "since": "2026-11-30T02:00:00Z",
        "seen": "2026-11-30T02:00:00Z",
        "closed": None,
        "sent": 10,
        "lost": 5,
        "loss": 0.5,
        "sentence": sentence,
        "alert": EVIL,
        "runbook": "javascript:document.title='owned'",
        "timeline": [{"at": "2026-11-30T02:00:00Z", "what": what, "words": EVIL} for what in ("opened", EVIL)],
        "evidence": [{"source": EVIL, "target": EVIL, "layer": "pod", "kind": "udp", "sent": 10, "lost": 5}],
        "against": EVIL,
    }


def outage(sentence: str) -> dict[str, Any]:
    cause = {"id": "0123456789abcdef", "since": "2026-11-30T02:00:00Z", "sentence": sentence}
    return {"start": "2026-11-30T02:00:00Z", "end": "2026-11-30T02:05:00Z", "causes": [cause]}


def picture(names: list[str]) -> bytes:
    header = {
        "version": 1,
        "by": "node",
        "measure": "loss",
        "levels": [0.0, 0.5],
        "span_seconds": 60,
        "rows": names,
        "columns": names,
    }
    text = json.dumps(header).encode()
    codes = bytes(16 + (row != column) for row in range(len(names)) for column in range(len(names)))
    return b"NMP1" + len(text).to_bytes(4, "little") + text + codes


async def torn(request: web.Request) -> web.StreamResponse:
    """Half of what the head says, and then the connection ends."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"state": "ok"')
    if request.transport is not None:
        request.transport.close()
    return response


class Liar:
    """Answers in place of a collector."""

    def __init__(self) -> None:
        self.incidents: Any = {"version": 1, "state": "broken", "sentence": EVIL, "incidents": [incident(EVIL)], "closed": []}
        self.picture = picture([EVIL, "n2"])
        self.history: Any = {"kept": True, "more": False, "incidents": [incident(EVIL)], "outages": [outage(EVIL)]}
        self.beats = Beats()
        self.silent = asyncio.Event()
        self.silent.set()
        """Cleared, nobody is answered until it is set."""
        self.torn = False
        """Whether an answer ends before it says it does."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await self.silent.wait()
        if self.torn:
            return await torn(request)
        if (name := request.match_info["name"]) == "picture":
            return web.Response(body=self.picture)
        agent = {"vantage": EVIL, "node": EVIL, "state": "silent", "age_seconds": 1, "gaps": 0}
        answers = {
            "incidents": self.incidents,
            "incident": {
                "version": 1,
                "incident": incident(EVIL),
                "others": [incident(EVIL) | {"since": "2026-11-29T02:00:00Z"}],
            },
            "history/incidents": self.history,
            "agents": {"agents": [agent]},
            "matrix": {"span_seconds": 60, "cells": []},
        }
        if isinstance(body := answers.get(name, {"error": EVIL}), bytes):
            return web.Response(body=body, content_type="application/json")
        return web.json_response(body, status=200 if name in answers else 404)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application(middlewares=[guarded((), lambda _: None)])
        app.router.add_get("/api/v1/events", (events := Events(self.beats)).stream)
        app.router.add_get("/api/v1/{name:.+}", self.answer)
        app.on_shutdown.append(events.end)
        add_page(app)
        async with TestServer(app) as server:
            yield str(server.make_url("/"))


async def test_survive_59_hostile_names_are_text_in_every_view_and_run_nothing() -> None:
    liar = Liar()
    async with liar.serving() as url, chromium() as browser, opened(browser, url) as (page, seen):
        await expect(page.locator("#verdict")).to_contain_text("<img src=x", timeout=PATIENCE_MS)
        for view in ("#/?table=1", "#/incidents", "#/incident/0123456789abcdef", "#/agents", f"#/pair?from={EVIL}&to=n2"):
            await page.goto(f"{url}{view}")
            await page.wait_for_timeout(500)
            assert "owned" not in await page.title()
            assert await page.locator("main img, main script").count() == 0
        await page.goto(f"{url}#/incident/0123456789abcdef")
        await expect(page.locator("main h1")).to_contain_text("<script>", timeout=PATIENCE_MS)
        assert await page.locator("a[href^='javascript:']").count() == 0
        assert not [error for error in seen.errors if "Content Security" in error]


async def test_survive_59_a_name_that_looks_like_a_formula_is_none_in_a_table_that_is_taken_away() -> None:
    liar = Liar()
    liar.picture = picture(["=cmd|' /C calc'!A0", "n2"])
    async with liar.serving() as url, chromium() as browser, opened(browser, url) as (page, _):
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2", timeout=PATIENCE_MS)
        async with page.expect_download() as download:
            await page.get_by_role("button", name="CSV", exact=True).click()
        path = await (await download.value).path()
        lines = path.read_text().splitlines()
        assert lines[1].startswith("'=cmd")


HALVED = (b"", b"NMP1", picture(["n1", "n2"])[:-1], b"<html>a proxy of somebody's</html>")


async def test_half_an_answer_is_said_and_what_was_there_stays() -> None:
    liar = Liar()
    liar.picture = picture(["n1", "n2"])
    async with liar.serving() as url, chromium() as browser, opened(browser, url) as (page, _):
        for body in HALVED:
            await expect(page.locator("#matrix-words")).to_contain_text("2 by 2", timeout=PATIENCE_MS)
            liar.picture = body
            liar.beats.beat()
            await expect(page.locator("#age")).to_contain_text("the collector's answer", timeout=PATIENCE_MS)
            await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")
            liar.picture = picture(["n1", "n2"])
            liar.beats.beat()
            await expect(page.locator("#age")).not_to_contain_text("answer", timeout=PATIENCE_MS)
        liar.picture = picture(["n1", "n2", "n3"])
        liar.beats.beat()
        await expect(page.locator("#matrix-words")).to_contain_text("3 by 3", timeout=PATIENCE_MS)


async def test_past_incidents_and_outages_are_listed_and_lead_to_their_own_page() -> None:
    liar = Liar()
    liar.history["incidents"] = [
        incident("n3 was gone.") | {"closed": "2026-11-30T02:05:00Z"},
        incident("n4 was gone.") | {"cut_off": True},
    ]
    async with liar.serving() as url, chromium() as browser, opened(browser, f"{url}#/incidents") as (page, _):
        await expect(page.get_by_role("region", name="Outages")).to_contain_text("5 min", timeout=PATIENCE_MS)
        past = page.get_by_role("region", name="Incidents, the latest first")
        await expect(past.get_by_role("row").nth(1)).to_contain_text("n3 was gone.")
        await expect(past.get_by_role("row").nth(2)).to_contain_text("unknown: the collector ended")
        async with page.expect_request(lambda request: "since=168h" in request.url):
            await page.get_by_role("combobox", name="Of").select_option("the last week")
        await past.get_by_role("link").first.click()
        await expect(page.get_by_role("list", name="What happened")).to_contain_text("opened", timeout=PATIENCE_MS)
        assert "since=2026-11-30T02" in page.url
        await page.get_by_role("region", name="When it was open at other times").get_by_role("link").click()
        await expect(page).to_have_url(re.compile("since=2026-11-29T02"))


async def test_without_a_history_the_page_says_so_and_lists_what_is_known() -> None:
    liar = Liar()
    liar.history = {"kept": False, "more": False, "incidents": [], "outages": []}
    liar.incidents["closed"] = [incident("n3 was gone.") | {"closed": "2026-11-30T02:05:00Z"}]
    async with liar.serving() as url, chromium() as browser, opened(browser, f"{url}#/incidents") as (page, _):
        await expect(page.locator("main")).to_contain_text("No history is kept", timeout=PATIENCE_MS)
        await expect(page.get_by_role("region", name="Incidents, the latest first")).to_contain_text("n3 was gone.")


HALVED_JSON = (b"", b'{"version": 1, "state": "ok"', b"<html>a proxy of somebody's</html>", b"null", b"[]")


async def test_half_an_answer_about_incidents_is_said_and_what_was_there_stays() -> None:
    liar = Liar()
    good = liar.incidents
    async with liar.serving() as url, chromium() as browser, opened(browser, url) as (page, _):
        for body in HALVED_JSON:
            await expect(page.locator("#verdict")).to_contain_text("<img src=x", timeout=PATIENCE_MS)
            liar.incidents = body
            liar.beats.beat()
            await expect(page.locator("#age")).to_contain_text("the collector's answer", timeout=PATIENCE_MS)
            await expect(page.locator("#verdict")).to_contain_text("<img src=x")
            liar.incidents = good
            liar.beats.beat()
            await expect(page.locator("#age")).not_to_contain_text("answer", timeout=PATIENCE_MS)


async def test_a_connection_that_breaks_within_an_answer_is_said_and_the_page_recovers_by_itself() -> None:
    liar = Liar()
    async with liar.serving() as url, chromium() as browser, opened(browser, url) as (page, _):
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2", timeout=PATIENCE_MS)
        liar.torn = True
        liar.beats.beat()
        await expect(page.locator("#age")).to_contain_text("the collector's answer broke off", timeout=PATIENCE_MS)
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")
        liar.torn = False
        await expect(page.locator("#age")).not_to_contain_text("broke off", timeout=PATIENCE_MS)


async def test_a_collector_that_does_not_answer_is_said_after_a_while_with_the_age_and_the_page_recovers_by_itself() -> None:
    liar = Liar()
    async with liar.serving() as url, chromium() as browser, opened(browser, url) as (page, _):
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2", timeout=PATIENCE_MS)
        liar.silent.clear()
        liar.beats.beat()
        await expect(page.locator("#age")).to_contain_text(re.compile("data of [1-9][0-9]* s ago"), timeout=PATIENCE_MS)
        await expect(page.locator("#age")).to_contain_text("did not answer within 15 s", timeout=2 * PATIENCE_MS)
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2")
        liar.silent.set()
        await expect(page.locator("#age")).not_to_contain_text("did not answer", timeout=PATIENCE_MS)


async def test_on_a_slow_network_the_page_comes_up() -> None:
    """50 kB a second and 400 ms to and fro, as far from the cluster as people are."""
    liar = Liar()
    async with liar.serving() as url, chromium() as browser, opened(browser, "about:blank") as (page, _):
        slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
        await (await page.context.new_cdp_session(page)).send("Network.emulateNetworkConditions", slow)
        await page.goto(url)
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2", timeout=PATIENCE_MS)
        await expect(page.locator("#age")).to_contain_text("data of")


async def test_a_page_that_is_hidden_or_paused_asks_for_nothing() -> None:
    liar = Liar()
    asked: list[str] = []
    async with liar.serving() as url, chromium() as browser, opened(browser, url) as (page, _):
        await expect(page.locator("#matrix-words")).to_contain_text("2 by 2", timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("#age")).to_contain_text("paused", timeout=PATIENCE_MS)
        page.on("request", lambda request: asked.append(request.url))
        for _ in range(3):
            liar.beats.beat()
            await page.wait_for_timeout(700)
        assert asked == []
        await page.get_by_role("button", name="Pause").click()
        await page.wait_for_timeout(2_000)
        assert any("picture" in url for url in asked)

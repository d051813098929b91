"""The command `python -m tests.browser.pictures`: takes the pictures of the documents, of a lab with a fault and a policy.

They go to docs/images. As root, like the lab.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import aiohttp
from playwright.async_api import Page, async_playwright

from lab.cluster import Cluster
from lab.faults import Loss
from lab.scenario import PLAN
from lab.shape import Shape
from lab.watch import Watch
from tests.browser.driven import CHROMIUM, SWITCHES

FOLDER = Path(__file__).parents[2] / "docs" / "images"
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "only-from-agents", "namespace": "pay"},
    "spec": {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "netmatrix"}}}]}],
    },
}
SECONDS = 90


async def main() -> int:
    """Take all of them; exit status 0."""
    FOLDER.mkdir(exist_ok=True)
    shape = Shape(nodes=8, zones=3, namespaces=("shop", "pay"))
    cluster = Cluster(shape, f"pictures{os.getpid()}", PLAN, policies=(POLICY,))
    try:
        await cluster.up()
        async with aiohttp.ClientSession() as session, async_playwright() as driver:
            watch = Watch(cluster.api_url, session)
            await watch.ready(SECONDS, closed=True)
            await cluster.apply(Loss(node="n3", direction="in", percent=30.0))
            for _ in range(SECONDS):
                told = await watch.ask("incidents")
                if told and told["incidents"]:
                    break
                await asyncio.sleep(1)
            await asyncio.sleep(20)
            browser = await driver.chromium.launch(executable_path=shutil.which(CHROMIUM), args=list(SWITCHES))
            page = await browser.new_page(viewport={"width": 1120, "height": 760}, device_scale_factor=1)
            await _take(page, f"{cluster.api_url}/#/?by=node&measure=loss", "matrix")
            await _take(page, f"{cluster.api_url}/#/?by=namespace&measure=verdict", "namespaces")
            await _take(page, f"{cluster.api_url}/#/pair?from=namespace/shop&to=namespace/pay", "closed")
            await _take(page, f"{cluster.api_url}/#/incidents", "incidents")
            found = await watch.ask("incidents")
            if found and found["incidents"]:
                await _take(page, f"{cluster.api_url}/#/incident/{found['incidents'][0]['id']}", "incident")
            await _take(page, f"{cluster.api_url}/#/pair?from=n1&to=n3", "pair")
            await browser.close()
    finally:
        await cluster.down()
    return 0


async def _take(page: Page, address: str, name: str) -> None:
    await page.goto(address)
    await page.wait_for_timeout(3000)
    await page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

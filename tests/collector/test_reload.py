"""The collector follows its configuration while it runs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trustme

from collector import app, planning
from collector.app import Collector
from collector.configuration import Configuration
from collector.plan.compose import PlanError
from collector.settings import Settings
from tests.collector.running import Running, inventory, running
from wire.path import Layer


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


async def said(collector: Running, line: str) -> None:
    """Wait until a line is among the metrics, which are rendered once a second."""
    while line not in (await collector.get("/metrics")).splitlines():  # noqa: ASYNC110 - it is asked over HTTP
        await asyncio.sleep(0.1)


async def test_survive_63_another_configuration_is_taken_while_it_runs_and_a_wrong_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    (tmp_path / "inventory.yaml").write_text(inventory("a", "b"))
    async with running(tmp_path, trustme.CA(key_type=trustme.KeyType.ECDSA)) as collector, asyncio.timeout(60):
        plan = await collector.plan()
        file = tmp_path / "config.yaml"
        good = file.read_text()
        file.write_text(good.replace("interval: 1s", "interval: 1 s"))
        await said(collector, "netmatrix_configuration_refused 1.0")
        assert (await collector.plan()).generation == plan.generation
        file.write_text(good.replace("interval: 1s", "interval: 2s").replace("report: 1s", "report: 3s"))
        later = await collector.plan(etag=f'"{plan.instance}-{plan.generation}"')
        assert {one.interval_ms for one in later.paths if one.path.layer is Layer.POD} >= {2_000}
        assert later.report_interval_ms == plan.report_interval_ms
        await said(collector, "netmatrix_configuration_refused 0.0")
        await said(collector, "netmatrix_configuration_waiting 1.0")


async def test_another_receiver_is_told_without_a_restart_and_nothing_secret_of_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    (tmp_path / "inventory.yaml").write_text(inventory("a"))
    async with running(tmp_path, trustme.CA(key_type=trustme.KeyType.ECDSA)) as collector, asyncio.timeout(60):
        assert (await collector.get("/api/v1/self"))["notifications"] == {}
        with (tmp_path / "config.yaml").open("a") as file:
            file.write("notify: {webhooks: [{name: chat, url: 'https://chat.example.com/s3cret'}]}\n")
        await said(collector, 'netmatrix_notifications_queue{receiver="chat"} 0.0')
        shown = await collector.get("/api/v1/self")
        assert shown["notifications"] == {"chat": {"waiting": 0}}
        assert shown["configuration"]["settings"]["notify"]["webhooks"][0]["url"] == "https://chat.example.com"
        assert "s3cret" not in str(shown)


async def test_a_configuration_for_which_there_is_no_plan_is_refused_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise PlanError("no plan")

    (tmp_path / "inventory.yaml").write_text(inventory("a"))
    (tmp_path / "config.yaml").write_text("{}")
    collector = Collector(Configuration(tmp_path / "config.yaml"), tmp_path / "inventory.yaml")
    monkeypatch.setattr(planning, "compose", refuses)
    (tmp_path / "other").write_text("{plan: {peers: 7}, export: {pairs: true}}")
    (tmp_path / "other").rename(tmp_path / "config.yaml")
    await collector._look()
    assert collector._configuration.refused == "config.yaml: no plan"
    assert collector._configuration.settings == Settings()
    assert collector._planning.settings == Settings().plan

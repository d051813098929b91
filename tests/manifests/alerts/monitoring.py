"""A real Prometheus and a real Alertmanager on free ports of loopback, and a collector's metrics for them to read."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from collector.export.exposition import exposition
from collector.sessions import Sessions
from collector.verdict.judgement import Judgement
from tests.collector.small_cluster import SECOND, matrix_of, path_to, report_of, window
from tests.manifests.alerts.rules import FOLDER, RULES, tool
from tests.manifests.rendering import rendered, the
from wire.outcome import Outcome

READY_SECONDS = 60.0


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Program:
    """A program that is started, stopped, halted and killed; it goes on where its folder says that it was."""

    def __init__(self, name: str, port: int, arguments: Sequence[str], folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [tool(name), *arguments, f"--web.listen-address=127.0.0.1:{port}"]
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Until it says that it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)  # noqa: ASYNC220 - it does not wait
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            while True:
                assert self._process.poll() is None, self._log.read_text()
                try:
                    async with session.get(f"{self.url}/-/ready") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)

    def halt(self) -> None:
        """It stands still, with its ports open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """As a machine would that is shut down."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def alertmanager(folder: Path, receiver: str) -> Program:
    """One that groups and inhibits as the example does, only faster, and tells a receiver at this URL."""
    example = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text())
    configuration = {
        "route": {
            "receiver": "inbox",
            "group_by": example["route"]["group_by"],
            "group_wait": "100ms",
            "group_interval": "300ms",
            "repeat_interval": "4h",
        },
        "receivers": [{"name": "inbox", "webhook_configs": [{"url": receiver, "send_resolved": True}]}],
        "inhibit_rules": example["inhibit_rules"],
    }
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(configuration))
    files = (f"--config.file={folder}/alertmanager.yaml", f"--storage.path={folder}/alertmanager", "--cluster.listen-address=")
    return Program("prometheus-alertmanager", free_port(), files, folder)


def relabelled() -> list[dict[str, Any]]:
    """What our ServiceMonitor does to series, as Prometheus writes it."""
    monitor = the(rendered("components/prometheus-operator"), "ServiceMonitor", "netmatrix-collector")
    words = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    steps = monitor["spec"]["endpoints"][0]["metricRelabelings"]
    return [{words.get(key, key): value for key, value in step.items()} for step in steps]


def prometheus(
    folder: Path, *, targets: Sequence[str], tells: str, keep_firing: str, relabels: Sequence[dict[str, Any]] = ()
) -> Program:
    """One that reads its targets every 200 ms as the operator would have it, with our rules, kept firing for so long."""
    rules = RULES.read_text().replace("keep_firing_for: 2m", f"keep_firing_for: {keep_firing}")
    (folder / "rules.yaml").write_text(rules)
    configuration = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [tells.removeprefix("http://")]}]}]},
        "scrape_configs": [
            {
                "job_name": "netmatrix",
                "static_configs": [
                    {
                        "targets": [one.removeprefix("http://") for one in targets],
                        "labels": {"namespace": "netmatrix", "service": "netmatrix-collector", "endpoint": "http-metrics"},
                    }
                ],
                "metric_relabel_configs": list(relabels),
            }
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    files = (
        f"--config.file={folder}/prometheus.yaml",
        f"--storage.tsdb.path={folder}/prometheus",
        "--rules.alert.resend-delay=1s",
    )
    return Program("prometheus", free_port(), files, folder)


@asynccontextmanager
async def running(*programs: Program) -> AsyncIterator[None]:
    """While they run."""
    try:
        for program in programs:
            await program.start()
        yield
    finally:
        for program in programs:
            program.stop()


class Exported:
    """What the real exporter writes of incidents, in a small cluster."""

    def __init__(self) -> None:
        self.incidents = Judgement().incidents
        self.away = False
        self.url = ""
        self._matrix = matrix_of()
        lost = window(path_to(self._matrix, "n1", "shop/cart", "tcp").id, failed={Outcome.TIMEOUT: 2})
        self._matrix.apply(report_of("n1", [lost]), arrived_ns=100 * SECOND, counted=True)
        self._sessions = Sessions(instance=1, silent_after_ns=3 * SECOND)
        self._sessions.replan(self._matrix.snapshot)

    async def answer(self, _request: web.Request) -> web.Response:
        """A scrape."""
        if self.away:
            return web.Response(status=503)
        now_ns = 100 * SECOND
        plans = SimpleNamespace(generation=1, stretched=1.0)
        judgement = Judgement(now_ns, self.incidents)
        text = exposition(self._matrix, self._sessions, plans, now_ns=now_ns, max_series=10_000, judgement=judgement)
        return web.Response(body=text, content_type="text/plain")


@asynccontextmanager
async def exported() -> AsyncIterator[Exported]:
    """On a port of its own."""
    made = Exported()
    app = web.Application()
    app.router.add_get("/metrics", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


async def series(program: Program, query: str) -> list[dict[str, str]]:
    """The labels of what a Prometheus has for a query, as soon as it has something."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{program.url}/api/v1/query", params={"query": query}) as answer:
                if found := [one["metric"] for one in (await answer.json())["data"]["result"]]:
                    return found
            await asyncio.sleep(0.1)


def told(got: Sequence[Any], status: str = "firing") -> list[tuple[str, str]]:
    """Alert and incident of each notification that arrived with this status, a group once for each alert in it."""
    return [
        (alert["labels"]["alertname"], alert["labels"].get("id", ""))
        for group in got
        for alert in group["alerts"]
        if group["status"] == status
    ]

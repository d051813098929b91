"""The first hour of a user: `make demo`, and every command and query that the documents show.

The demo is the real one, with the real Prometheus and Alertmanager. Tests run in the order in which they stand.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

import lab.__main__
from collector.cli import main
from collector.cli.commands import FINDINGS, OK
from collector.matrix.picture import Code
from lab.monitoring import PROGRAMS
from tests.browser.driven import chromium, opened
from tests.documents.demonstration import SHOWN_PORT, Demonstration, fetched, running, until
from tests.documents.runs import Place, at
from tests.documents.shown import Command, Shown, blocks, within_sentences
from tests.rules.tree import ROOT

pytestmark = pytest.mark.lab

PATIENCE_MS: Final = 60_000
STANDS_FOR: Final = {
    "NAMESPACE": "shop",
    "NODE": "n3",
    "SRC": "shop",
    "DST": "pay",
    "shop/cart-0": "shop/vantage-shop",
    "kubernetes.default.svc.cluster.local": "web.shop.svc.test",
}
"""What the documents say of a cluster of the reader's, by what it is in the demo."""
QUERY: Final = r"(?:sum|max|min|rate|increase|absent)\b[^`]*\bnetmatrix_[^`]*"
NEVER_WITHOUT_A_KEY: Final = "udp://"
"""Of a probe: a reflector answers nobody who has no key."""


def asked(program: str) -> list[Command]:
    return [command for command in at(Place.DEMO) if command.program == program]


def queries() -> list[tuple[Shown, bool]]:
    """Each with whether it must have an answer: one within a sentence is about what may not be there."""
    fenced = [
        (block._replace(line=block.line + number, text=line), "# in a fault" not in line)
        for block in blocks("promql")
        for number, line in enumerate(block.text.splitlines())
        if line.strip()
    ]
    return fenced + [(one, False) for one in within_sentences(QUERY)]


def line_of(one: Command) -> str:
    return one.line


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"needs {', '.join(absent)}")
    with running(tmp_path_factory.mktemp("demo")) as one:
        yield one


@pytest.fixture
def words(demo: Demonstration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """In a folder with the files that the documents speak of, and with the variables that they set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("plan: {interval: 2s}\n")
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "lab" / "examples" / "pay-not-into-shop.yaml", tmp_path / "deploy")
    monkeypatch.setenv("NETMATRIX_SERVER", demo.url)
    monkeypatch.setenv("NETMATRIX_TOKEN", demo.operator_key)
    server = next(iter(demo.cluster.topology.dns.addresses.values()))
    return {**STANDS_FOR, f"127.0.0.1:{SHOWN_PORT}": demo.url.removeprefix("http://"), "10.96.0.10": server}


def put(command: Command, words: dict[str, str]) -> list[str]:
    """The arguments as one would type them here."""
    result = list(command.arguments)
    for shown, meant in words.items():
        result = [re.sub(rf"\b{re.escape(shown)}\b", meant, word) for word in result]
    return result


def test_the_terminal_says_where_to_look_and_what_to_type(demo: Demonstration) -> None:
    assert demo.url == f"http://127.0.0.1:{demo.port}"
    assert isinstance(fetched(f"{demo.alertmanager}/api/v2/alerts"), list)
    assert f'`make break ARGS="--port {demo.port}"` closes the path from shop to pay' in demo.said


@pytest.mark.parametrize("command", asked("netmatrix"), ids=line_of)
def test_every_command_answers(command: Command, words: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """With 0 or 1, which say whether something was found; the demo has a fault for a while, and a path that is denied."""
    arguments = put(command, words)
    if "--watch" in arguments:
        assert watched(arguments) in {130, -signal.SIGINT}
        return
    status = main([*arguments, "--timeout", "60"] if "completion" not in arguments else arguments)
    said = capsys.readouterr()
    assert said.err == "", command.shown.place
    assert status in {OK, FINDINGS}, command.shown.place
    assert said.out.strip(), f"{command.shown.place} says nothing"
    assert "no path between" not in said.out, command.shown.place


def watched(arguments: list[str]) -> int:
    """Until it has drawn twice, then as Ctrl-C ends it."""
    command = [sys.executable, "-m", "collector.cli", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        stamps = (line for line in process.stdout if re.fullmatch(r"\d\d:\d\d:\d\d\n", line))
        assert len([next(stamps), next(stamps)]) == 2
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        return process.wait(20)


@pytest.mark.parametrize("command", asked("curl"), ids=line_of)
def test_every_question_to_the_api_has_an_answer(command: Command, words: dict[str, str]) -> None:
    (url,) = put(command, words)
    answer = fetched(url)
    assert answer["version"] == 1
    assert any(answer[key] for key in ("cells", "incidents", "verdicts", "agents") if key in answer)


@pytest.mark.parametrize("command", asked("python -m agent"), ids=line_of)
def test_every_probe_says_what_came_of_it(command: Command, demo: Demonstration, words: dict[str, str]) -> None:
    arguments = put(command, words)
    pod = demo.cluster.topology.agent_on("n1")
    done = subprocess.run(
        ["ip", "netns", "exec", pod.netns, sys.executable, "-m", "agent", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    unanswered = any(word.startswith(NEVER_WITHOUT_A_KEY) for word in arguments)
    assert done.stderr == "", command.shown.place
    assert done.returncode == (1 if unanswered else 0), (command.shown.place, done.stdout)
    assert done.stdout.strip()


@pytest.mark.parametrize("command", asked("python -m lab"), ids=line_of)
def test_the_lab_says_what_it_has(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.__main__.main(command.arguments) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(("query", "has_answer"), queries(), ids=lambda one: getattr(one, "text", ""))
def test_every_query_is_answered(query: Shown, has_answer: bool, demo: Demonstration) -> None:
    expression = query.text.partition("  # ")[0]
    found = until(lambda: demo.query(expression), patience=30 if has_answer else 1)
    assert found or not has_answer, query.place


def test_a_denied_path_is_shown_as_denied_and_its_reason_is_told(
    demo: Demonstration, words: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert words
    demo.waits_for("^OVER: .* node n5 ", patience=180)

    def settled() -> bool:
        main(["why", "pay", "shop"])
        said = capsys.readouterr().out
        verdicts = [line.split()[-1] for line in said.splitlines() if re.search(r"  deny  .*networkpolicy", line)]
        return "no rule of NetworkPolicy shop/not-pay allows it" in said and set(verdicts) == {"ok"}

    assert until(settled, patience=60)
    main(["matrix", "--by", "namespace", "--layer", "service"])
    assert re.search(r"^pay .*\bo\b", capsys.readouterr().out, re.MULTILINE)
    assert demo.picture("namespace")["pay", "shop"] == Code.CLOSED
    assert not [one for one in fetched(f"{demo.url}/api/v1/incidents")["incidents"] if "shop" in one["dst_namespace"]]


async def test_the_page_says_of_a_denied_path_which_policy_denies_it_in_one_click(demo: Demonstration) -> None:
    """In the table that stands for the picture, since a click there needs no place of a pixel."""
    async with chromium() as browser, opened(browser, f"{demo.url}/#/?by=namespace&measure=verdict&table=1") as (page, seen):
        row = page.locator("tbody tr").filter(has_text="closed, as it should be")
        await row.first.get_by_role("link").first.click(timeout=PATIENCE_MS)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("shop", timeout=PATIENCE_MS)
        await expect(page.locator("main")).to_contain_text("shop/not-pay", timeout=PATIENCE_MS)
        seen.expect_none(demo.url.removeprefix("http://"))

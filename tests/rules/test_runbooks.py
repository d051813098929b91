"""Every alert has a page that says what to do, and what it says to type can be typed."""

import re
import shlex
from pathlib import Path

import pytest

from collector.alerts import BY_INCIDENT, OF_ITSELF, SUMMARIES
from collector.receivers import VALUES
from collector.settings import parse_settings
from tests.manifests.rendering import rendered
from tests.rules.tree import ROOT, named

FOLDER = ROOT / "docs" / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"))
HEADINGS = ["Meaning", "Impact", "How to look", "How to mend", "False alarm"]
PAGE_OF_ALL = ROOT / "docs" / "alerts.md"


def commands(page: Path) -> list[str]:
    """What it says to type."""
    return [line for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) for line in block.splitlines()]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {page.stem for page in PAGES} == BY_INCIDENT | OF_ITSELF


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_says_the_same_things_in_the_same_order(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n{SUMMARIES[page.stem]}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts), "a heading with nothing below it"
    assert any(line.startswith("netmatrix ") for line in commands(page)), "and begins with netmatrix itself"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_one_that_is_at_hand_in_an_incident(page: Path) -> None:
    """tests/documents runs them."""
    for line in commands(page):
        words = shlex.split(line, comments=True)
        assert words[0] in {"netmatrix", "kubectl"} or words[:3] == ["python", "-m", "agent"], line


def test_every_object_of_ours_that_a_page_names_is_installed() -> None:
    there = {(one["kind"].lower(), one["metadata"]["name"]) for one in rendered("base")}
    for page in PAGES:
        text = "\n".join(commands(page))
        for kind, name in re.findall(r"\b(deployment|daemonset|configmap|secret)[ /](netmatrix[\w-]*)", text):
            assert (kind, name) in there, f"{named(page)}: {kind} {name}"


def test_one_page_lists_them_all() -> None:
    linked = re.findall(r"\]\(runbooks/(\w+)\.md\)", PAGE_OF_ALL.read_text())
    assert sorted(linked) == sorted(BY_INCIDENT | OF_ITSELF)


def test_every_value_that_a_body_has_places_for_is_explained() -> None:
    table = PAGE_OF_ALL.read_text().partition("| value | what it is |")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == VALUES


def test_the_example_is_a_configuration_that_is_taken() -> None:
    (example,) = re.findall(r"```yaml\n(notify:.*?)```", PAGE_OF_ALL.read_text(), re.DOTALL)
    notify = parse_settings(example, name="alerts.md").notify
    assert [webhook.name for webhook in notify.webhooks] == ["chat", "pager"]


@pytest.mark.parametrize("alert", sorted(SUMMARIES))
def test_the_list_says_of_each_what_the_alert_says(alert: str) -> None:
    assert f"| [{alert}](runbooks/{alert}.md) | {SUMMARIES[alert]} |" in PAGE_OF_ALL.read_text()

"""README.zh-CN.md says what README.md says: the same headings, commands, links, pictures and figures, in another language."""

import re

import pytest

from tests.rules.tree import ROOT

ENGLISH, CHINESE = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))


def blocks(text: str) -> list[str]:
    return re.findall(r"^```[a-z]*\n.*?^```$", text, re.MULTILINE | re.DOTALL)


def test_the_commands_and_their_output_are_the_same() -> None:
    assert blocks(CHINESE) == blocks(ENGLISH)


def test_the_headings_are_as_many_and_as_deep() -> None:
    def depths(text: str) -> list[int]:
        bare = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        return [len(marks) for marks in re.findall(r"^(#+) ", bare, re.MULTILINE)]

    assert depths(CHINESE) == depths(ENGLISH)


def test_both_lead_to_the_same_pages_and_show_the_same_pictures() -> None:
    def targets(text: str) -> list[str]:
        return [target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("README")]

    assert targets(CHINESE) == targets(ENGLISH)
    for target in targets(ENGLISH):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("pattern", [r"`[^`\n]+`", r"[0-9]+(?:[.,][0-9]+)*"])
def test_a_row_of_a_table_has_the_same_figures_and_the_same_words_of_code(pattern: str) -> None:
    def rows(text: str) -> list[list[str]]:
        return [sorted(re.findall(pattern, line)) for line in text.splitlines() if line.startswith("| ")]

    assert rows(CHINESE) == rows(ENGLISH)

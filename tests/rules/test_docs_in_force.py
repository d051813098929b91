"""The defaults and the words that the documents name are the ones in force."""

import re

import pytest
from msgspec import Struct

from agent.settings import PREFIX, VARIABLES, read
from collector.duration import Duration
from collector.settings import Settings
from tests.rules.reference import PAGE, page
from tests.rules.tree import ROOT
from wire.outcome import Outcome

ROWS = dict(
    re.findall(r"^\| `([A-Za-z_.]+)` \| .* \| `([^`]+)` \|$", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE)
)
"""Variable or key, and its default where that is a value and not a sentence."""

REQUIRED = {"NETMATRIX_COLLECTOR": "https://collector.netmatrix:8443", "NETMATRIX_TOKEN_FILE": "token"}


def written(value: object) -> str:
    """A value as one would write it in the environment or in a file."""
    match value:
        case bool():
            return str(value).lower()
        case Duration():
            return str(value)
        case tuple():
            return f"[{', '.join(value)}]"
    return str(value)


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith(PREFIX)])
def test_a_variable_that_is_set_to_its_documented_default_changes_nothing(name: str) -> None:
    absent = read(REQUIRED, hostname="n1", uid="u")
    assert read({**REQUIRED, name: ROWS[name]}, hostname="n1", uid="u") == absent
    assert name.removeprefix(PREFIX) in VARIABLES


@pytest.mark.parametrize("key", [name for name in ROWS if "." in name and not ROWS[name].startswith("plan.")])
def test_a_key_of_the_collector_has_its_documented_default(key: str) -> None:
    value: object = Settings()
    for part in key.split("."):
        assert isinstance(value, Struct)
        value = getattr(value, part)
    assert written(value) == ROWS[key]


def test_most_settings_have_a_default_that_is_documented_as_a_value() -> None:
    assert len(ROWS) > 20
    assert Settings().matrix.max_bytes == 512 * 1024 * 1024, "which is written as 512 MiB"


def test_every_word_is_documented_with_whose_fault_it_is() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (network|ours) \|", (ROOT / "docs" / "measuring.md").read_text(), re.MULTILINE)
    assert dict(rows) == {outcome.word: "ours" if outcome.is_local else "network" for outcome in Outcome}


def test_the_tables_of_keys_are_made_from_the_types() -> None:
    assert page() == PAGE.read_text(), "python -m tests.rules.reference writes them"

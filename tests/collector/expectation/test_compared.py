"""Expected by observed: what is true of a path, as the table has it."""

import pytest
from msgspec.structs import replace

from collector.expectation.compared import Control, Seen, compared
from collector.expectation.expected import Expectation
from collector.policy.evaluate import Answer

OPEN, LOSSY, SILENT = Seen(3, 0), Seen(3, 2), Seen(3, 3)
REFUSED, UNHEARD, STRANGER = Seen(3, 3, refused=3), Seen(0, 0), Seen(3, 0, confirmed=False)
NOBODY, OTHERS, KUBELET = Control(), Control(reached=True), Control(kubelet=True)
ALLOW = Expectation(Answer.ALLOW, "declared", "x/a says allow", name="x/a")
DENY = replace(ALLOW, answer=Answer.DENY)


@pytest.mark.parametrize(
    ("expected", "seen", "control", "word"),
    [
        (ALLOW, OPEN, NOBODY, "ok"),
        (ALLOW, LOSSY, NOBODY, "ok"),
        (ALLOW, SILENT, OTHERS, "broken"),
        (ALLOW, REFUSED, OTHERS, "broken"),
        (ALLOW, SILENT, NOBODY, "target_down"),
        (ALLOW, SILENT, KUBELET, "target_down"),
        (DENY, OPEN, NOBODY, "leak"),
        (DENY, LOSSY, OTHERS, "leak"),
        (DENY, SILENT, OTHERS, "ok"),
        (DENY, SILENT, KUBELET, "ok"),
        (DENY, SILENT, NOBODY, "unverifiable"),
        (DENY, REFUSED, OTHERS, "ok"),
        (replace(DENY, deny_outcome="timeout"), REFUSED, OTHERS, "leak"),
        (replace(DENY, deny_outcome="timeout"), SILENT, OTHERS, "ok"),
        (replace(DENY, deny_outcome="reject"), REFUSED, OTHERS, "ok"),
        (replace(DENY, deny_outcome="reject"), SILENT, OTHERS, "degraded"),
        (ALLOW, UNHEARD, OTHERS, "unknown"),
        (DENY, UNHEARD, OTHERS, "unknown"),
        (ALLOW, STRANGER, OTHERS, "unknown"),
        (DENY, STRANGER, OTHERS, "unknown"),
        (replace(ALLOW, answer=Answer.UNSPECIFIED), OPEN, OTHERS, "unknown"),
        (replace(ALLOW, answer=Answer.UNKNOWN), SILENT, OTHERS, "unknown"),
    ],
)
def test_every_row_of_the_table(expected: Expectation, seen: Seen, control: Control, word: str) -> None:
    assert compared(expected, seen, control).word == word


def test_the_control_of_a_closed_path_is_said() -> None:
    assert compared(DENY, SILENT, KUBELET).because == "0 of 3 probes got through; control: kubelet; x/a says allow"
    assert compared(DENY, SILENT, OTHERS).because == "0 of 3 probes got through, and others reach it; x/a says allow"


def test_what_was_observed_has_a_word() -> None:
    words = [seen.word for seen in (OPEN, LOSSY, SILENT, REFUSED, UNHEARD, STRANGER)]
    assert words == ["open", "open", "timeout", "refused", "none", "timeout"]

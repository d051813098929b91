import pytest

from collector.admission import Refusal
from collector.identity.passes import FRESH_SECONDS, GRACE_SECONDS, REFUSED_SECONDS, Pass, Passes, Standing
from collector.identity.review import Reviewed
from tests.collector.identity.tokens import NOW

HOLDER = Reviewed("netmatrix", "netmatrix-agent", "agent-1", "uid-1", "n1")


@pytest.mark.parametrize(
    ("age", "left", "standing"),
    [
        (0, 600, Standing.FRESH),
        (FRESH_SECONDS - 1, 600, Standing.FRESH),
        (FRESH_SECONDS, 600, Standing.DUE),
        (-FRESH_SECONDS, 600, Standing.DUE),
        (1, 0, Standing.OVER),
        (1, 1 - GRACE_SECONDS, Standing.OVER),
        (1, -GRACE_SECONDS, Standing.GONE),
    ],
)
def test_a_pass_is_fresh_then_due_then_over(age: float, left: float, standing: Standing) -> None:
    assert Pass(HOLDER, NOW - age, NOW + left).standing(NOW) is standing


def test_a_refusal_is_remembered_briefly() -> None:
    passes = Passes()
    passes.keep(b"d", Refusal.UNKNOWN_TOKEN, expires=0, now=NOW)
    assert passes.found(b"d", NOW + REFUSED_SECONDS - 1) is Refusal.UNKNOWN_TOKEN
    assert passes.found(b"d", NOW + REFUSED_SECONDS) is None


def test_what_was_said_last_counts() -> None:
    passes = Passes()
    passes.keep(b"d", HOLDER, expires=NOW + 9, now=NOW)
    passes.keep(b"d", Refusal.UNKNOWN_TOKEN, expires=NOW + 9, now=NOW)
    assert passes.found(b"d", NOW) is Refusal.UNKNOWN_TOKEN
    passes.keep(b"d", HOLDER, expires=NOW + 9, now=NOW)
    assert isinstance(passes.found(b"d", NOW), Pass)


def test_no_flood_of_refused_tokens_displaces_a_pass_or_grows() -> None:
    passes = Passes(max_passes=2, max_refused=3)
    passes.keep(b"good", HOLDER, expires=NOW + 9, now=NOW)
    for number in range(100):
        passes.keep(b"%d" % number, Refusal.UNKNOWN_TOKEN, expires=NOW, now=NOW)
    assert len(passes) == 4
    assert isinstance(passes.found(b"good", NOW), Pass)


def test_the_pass_that_was_used_last_stays() -> None:
    passes = Passes(max_passes=2)
    for digest in (b"1", b"2"):
        passes.keep(digest, HOLDER, expires=NOW + 9, now=NOW)
    passes.found(b"1", NOW)
    passes.keep(b"3", HOLDER, expires=NOW + 9, now=NOW)
    assert [passes.found(digest, NOW) is not None for digest in (b"1", b"2", b"3")] == [True, False, True]

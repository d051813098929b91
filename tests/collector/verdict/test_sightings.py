"""What makes another sighting of a cause, and what is only the first one seen again."""

import pytest

from collector.verdict.candidates import Scope
from collector.verdict.finding import Finding, Whole
from collector.verdict.sightings import Counted, counts_again
from tests.collector.verdict.small import SECOND
from wire.path import Layer

NODE = Scope("node", "n9", "both", "network")


def again(lost: int, *, before: int, of: int = 23_000, span_s: int = 300, after_s: int = 25) -> bool:
    """Losses of the longest span now and at the last sighting; there is a fault or a blip among some usual losses."""
    whole = Whole(lost, of, 5.0, span_s * SECOND)
    finding = Finding(NODE, Layer.HOST, lost=lost, sent=of, span_ns=span_s * SECOND, whole=whole)
    return counts_again(finding, Counted(before, 1000 * SECOND), (1000 + after_s) * SECOND)


@pytest.mark.parametrize("fresh", [0, 1, 2, 3])
def test_some_usual_losses_after_a_blip_are_no_second_sighting_of_it(fresh: int) -> None:
    assert not again(50 + fresh, before=50)


def test_a_small_loss_that_goes_on_is_seen_again() -> None:
    assert again(50 + 18, before=50, after_s=100)
    assert again(400 + 40, before=400)


def test_so_is_one_of_much_of_which_a_few_losses_are_enough() -> None:
    assert again(40 + 3, before=40, of=100, after_s=10)

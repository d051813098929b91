"""How often pairs of a small cluster have lost something."""

from collector.verdict.candidates import Ground, grounds_of
from collector.verdict.cells import Cells
from collector.verdict.frame import framed
from collector.verdict.noise import SILENCE, Window, present, rates
from collector.verdict.recurrence import KEPT_NS, SMALL, remembered, times, window
from tests.collector.verdict.small import SECOND, mesh
from wire.path import Layer

LOST = frozenset({("n0", "n1", "network")})


def ground_of(cells: Cells) -> Ground:
    (ground,) = grounds_of([cells], framed(cells.sources, cells.targets), rates(SILENCE, cells, present(cells)))
    return ground


def lossy(nodes: int, *, span_s: int = 60) -> Ground:
    """A span until the time of 1000 s."""
    return ground_of(mesh(nodes, lambda at, to, layer: int((at, to, layer) == (0, 1, Layer.POD)), span_s=span_s))


def window_at(start_s: int) -> Window:
    return Window(start_s * SECOND, (start_s + 10) * SECOND, LOST)


def test_a_pair_counts_once_for_each_window_of_the_span_and_for_now() -> None:
    ground, latest = lossy(3), window(lossy(3, span_s=10))
    assert latest.pairs == LOST
    assert times((), latest, ground).tolist() == [1]
    assert times((window_at(960), window_at(970)), latest, ground).tolist() == [3]


def test_what_overlaps_with_now_or_lies_before_the_span_is_not_counted() -> None:
    ground, latest = lossy(3), window(lossy(3, span_s=10))
    assert times((window_at(930), window_at(985)), latest, ground).tolist() == [1]


def test_in_a_large_cluster_nothing_is_remembered_and_each_counts_once() -> None:
    assert window(lossy(SMALL + 1)).pairs == frozenset()
    assert times((window_at(970),), window_at(990), lossy(SMALL + 1)).tolist() == [1]


def test_no_more_is_remembered_than_the_longest_span_has() -> None:
    windows: tuple[Window, ...] = ()
    for start in range(1000, 3000, 10):
        windows = remembered(windows, window_at(start))
    assert windows[0].start_ns > windows[-1].stop_ns - KEPT_NS
    assert len(windows) == 29

"""From many bad cells to few causes: greedy maximum likelihood with explain-away (Harsh et al., Flock, CoNEXT 2023).

In: cells of one or several spans that end now, shortest first, and the noise. Out: findings, none of which explains what
another one does, and the noise after the shortest span. The candidate with the greatest log-likelihood ratio wins if that
exceeds what it takes to name it, ln(number of candidates / alpha), and if its losses are spread over its witnesses; then its
events are taken away and the next is looked for. What a short span has explained is not looked at again in a longer one.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from collector.verdict import noise as background
from collector.verdict.candidates import Ground, Scope, grounds_of, key_of
from collector.verdict.cells import Cells
from collector.verdict.evidence import blast
from collector.verdict.extent import cells_of
from collector.verdict.finding import Effect, Finding, Whole
from collector.verdict.frame import framed
from collector.verdict.ladder import counted
from collector.verdict.noise import Noise, Window
from collector.verdict.pairs import pairs
from collector.verdict.recurrence import remembered, times, window
from collector.verdict.search import Search
from collector.verdict.servers import of_nodes
from collector.verdict.ways import told_way


def causes(
    spans: Sequence[Cells], noise: Noise, *, effect: Effect = "loss", known: Iterable[Scope] = ()
) -> tuple[list[Finding], Noise]:
    """Findings of all spans, and the noise after the first; raises ValueError where there is no span.

    What is `known`, since it has been told, takes less to be seen again than to be named at all.
    Another `effect` than loss is what `lost` counts then, such as probes slower than usual: it has a noise of its own.
    """
    if not spans:
        raise ValueError("a pass needs at least one span")
    found: list[Finding] = []
    searches: list[Search] = []
    latest: Window | None = None
    told_before = frozenset(key_of(scope) for scope in known)
    for ground in _grounds(spans, noise):
        latest = latest or window(ground)
        search = Search(
            ground, noise.dispersion, found, searches, times=times(noise.windows, latest, ground), known=told_before
        )
        searches.append(search)
        found += search.findings()
    grounds = [search.ground for search in searches]
    told = [_told(one, grounds, effect) for one in found if not of_nodes(one.scope, _ground_of(one, grounds))]
    for search in searches:
        for finding in found:
            search.explain(finding.scope)
    told += [_told(one, grounds, effect) for one in pairs(searches) if not of_nodes(one.scope, _ground_of(one, grounds))]
    return told, _learned(noise, spans[0], searches[0], searches[-1])


def _grounds(spans: Sequence[Cells], noise: Noise) -> Iterator[Ground]:
    """Of each span; those of the same cells share what does not depend on the span."""
    for _, alike in groupby(spans, key=_columns):
        cells = list(alike)
        rates = background.rates(noise, cells[0], background.present(cells[0]))
        yield from grounds_of(cells, framed(cells[0].sources, cells[0].targets), rates)


def _columns(cells: Cells) -> list[int]:
    """Equal where they are the same cells."""
    return [id(part) for part in (cells.sources, cells.targets, cells.source, cells.target, cells.layer)]


def _ground_of(finding: Finding, grounds: Sequence[Ground]) -> Ground:
    """The span in which it was found."""
    return next(ground for ground in grounds if ground.cells.span_ns == finding.span_ns)


def _told(finding: Finding, grounds: Sequence[Ground], effect: Effect) -> Finding:
    """With how far it reaches, what shows it, and what it did in the longest span."""
    longest = grounds[-1]
    finding = told_way(finding, longest)
    reach = blast(finding.scope, _ground_of(finding, grounds))
    which = cells_of(finding.scope, longest)
    sent, lost = counted(longest, which)
    return finding._replace(
        effect=effect if effect != "loss" else finding.effect,
        nodes=reach.nodes,
        paths=reach.paths,
        namespaces=reach.namespaces,
        evidence=reach.evidence,
        whole=Whole(int(lost), int(sent), float(longest.usual(which).sum()), longest.cells.span_ns),
    )


def _learned(noise: Noise, cells: Cells, latest: Search, longest: Search) -> Noise:
    """What no cause explains, nor may yet be found to explain, is noise. Its spread is taken over nodes, inbound.

    Nothing is learned twice: of spans that overlap, the next is the one that begins after the last.
    """
    ground = latest.ground
    if cells.start_ns < noise.until_ns:
        return noise
    count = background.size(cells)
    usual = latest.live & ~latest.of(longest.suspects()) & (ground.events.probes > 0)
    windows = remembered(noise.windows, window(ground))
    events = np.bincount(ground.events.group[usual], minlength=count).astype(np.float64)
    spread = latest.spread(usual)
    return background.learned(noise, cells, events, ground.sums.by_group, spread=spread)._replace(windows=windows)

"""Whether a pass shows a cause anew, and whether enough is known of it to tell. In: findings, and what was seen before."""

from typing import Final, NamedTuple

from collector.verdict.candidates import Scope
from collector.verdict.cells import Cells
from collector.verdict.finding import Finding
from collector.verdict.hold import Hold
from collector.verdict.ladder import SURE, advantage
from wire.path import Layer

BURST_NS: Final = 4 * 10**9
"""A second sighting takes losses of so much later, since one burst is seen in many passes: agents report losses at once, but
at most every five seconds."""
BLIP_NS: Final = 12 * 10**9
"""The same of a cause that loses little: a moment in which many pairs of a node lose something is no fault that stays."""
WEAK: Final = 0.03
"""Loss below which a cause loses little."""
SURER: Final = 7.0
"""Nats, from which losses of a weak cause are new ones. That is asked as long as the longest span has the old ones, so one blip
in e^7 is taken for a fault by what is usual after it (Ville's inequality)."""
UNDECIDED_NS: Final = (16 * 10**9, 150 * 10**9)
"""How long at least and at most an incident waits until its direction is known: for some losses."""
UNHINTED_NS: Final = 18 * 10**9
"""How long at least while nothing speaks for any."""
LONG_NS: Final = 330 * 10**9
"""The same of long packets, which are sent five minutes apart."""
PAIR_NS: Final = 60 * 10**9
"""The same of a pair, where few answers get through that could bring a receipt."""
RECEIPTS: Final = 16
RECENT: Final = 0.5
"""Loss since the last sighting, from which nobody reaches a node: reports of it are up to five seconds old."""
ROUND: Final = frozenset({"node", "group", "zone_pair", "pair"})
"""Kinds that lose on both sides as a rule, so that one side alone is believed only after every agent has reported."""


class Counted(NamedTuple):
    """The last sighting that counted: losses of the longest span until then, and when."""

    lost: int
    at_ns: int


def counted(found: Finding, now_ns: int) -> Counted:
    """A sighting that counts."""
    return Counted(found.whole.lost if found.whole else 0, now_ns)


def counts_again(found: Finding, last: Counted, now_ns: int) -> bool:
    """Whether it is another sighting, by losses that came since, and not the same burst in another pass."""
    whole, since = found.whole, now_ns - last.at_ns
    if whole is None:
        return True
    asked = whole.sent * since / max(whole.span_ns, 1)
    fresh = min(whole.lost - last.lost, int(asked))
    usual = whole.usual / max(whole.sent, 1)
    sure = SURER if found.loss < WEAK else SURE
    return since >= _burst_ns(found) and fresh > 0 and advantage(fresh, asked, found.loss, usual) > sure


def compared(found: Finding, last: Counted, now_ns: int, *, counts: bool) -> Counted:
    """What the next sighting is compared with: one burst is told of over some seconds, and spans leave old losses behind."""
    now = counted(found, now_ns)
    if counts or now.lost < last.lost:
        return now
    return Counted(now.lost, last.at_ns) if now_ns - last.at_ns < _burst_ns(found) else last


def _burst_ns(found: Finding) -> int:
    return BLIP_NS if found.loss < WEAK else BURST_NS


def gone(found: Finding, last: Counted, cells: Cells, hold: Hold, now_ns: int) -> bool:
    """Whether nobody reaches a node any more, of which no agent has been heard since that was first seen."""
    scope, since = found.scope, now_ns - last.at_ns
    if scope.kind != "node" or found.layer is not Layer.HOST or since < BURST_NS or _heard(scope, cells, hold.first_ns):
        return False
    whole = found.whole
    return whole is not None and whole.lost - last.lost >= RECENT * whole.sent * since / max(whole.span_ns, 1)


def _heard(scope: Scope, cells: Cells, since_ns: int) -> bool:
    """Whether an agent of a node was heard since."""
    heard = [int(cells.heard_ns[n]) for n, end in enumerate(cells.sources.all) if end.node == scope.component]
    return any(one > since_ns for one in heard)


def ready(finding: Finding, cells: Cells, hold: Hold, now_ns: int, report_ns: int) -> bool:
    """Whether it is known what to tell: of a node that nobody reaches, whether its own agent still speaks."""
    scope = finding.scope
    if not finding.proven:
        return False
    if now_ns - hold.first_ns > _undecided_ns(finding):
        return True
    if not finding.certain:
        return False
    if scope.kind in ROUND and scope.reach != "both" and now_ns - hold.first_ns < report_ns:
        return False
    if scope.kind != "node" or scope.direction != "in" or finding.layer is not Layer.HOST:
        return True
    return _heard(scope, cells, hold.first_ns)


def _undecided_ns(finding: Finding) -> int:
    least, most = UNDECIDED_NS if finding.hinted else (UNHINTED_NS, UNDECIDED_NS[1])
    if finding.scope.layers == Layer.MTU:
        return LONG_NS
    if finding.scope.kind == "pair":
        return PAIR_NS
    return min(max(least, RECEIPTS * finding.span_ns // max(finding.lost, 1)), most)

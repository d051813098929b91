"""Cells in words: what is expected of a cell, what is seen, what is true of it, and because of which numbers.

In: a comparison and places of cells in it. Out: values that can be written as JSON.
"""

from typing import Any, Final

import numpy as np

from collector.verdict.cells import FAMILIES, KINDS, LAYERS, End, Expected, Ints, Mask
from collector.verdict.comparison import Comparison, open_until
from collector.verdict.control import Control
from collector.verdict.pair import ALWAYS, Verdict
from collector.verdict.sample import Sample
from wire.outcome import Outcome

Answer = dict[str, Any]

OBSERVED: Final = {
    Outcome.TIMEOUT: "timeout",
    Outcome.DNS_TIMEOUT: "timeout",
    Outcome.REFUSED: "refused",
    Outcome.NO_ENDPOINTS: "refused",
    Outcome.RESET: "reset",
    Outcome.UNREACHABLE: "unreachable",
    Outcome.TOO_BIG: "unreachable",
    Outcome.PROHIBITED: "prohibited",
    Outcome.DNS_NXDOMAIN: "dns",
    Outcome.DNS_SERVFAIL: "dns",
    Outcome.DNS_ERROR: "dns",
    Outcome.TLS: "tls",
    Outcome.HTTP_STATUS: "status",
    Outcome.PROTOCOL: "status",
    Outcome.WRONG_PEER: "wrong_peer",
}
"""The word for each way to fail."""
OF_EXPECTED: Final = {one: one.name.lower() for one in Expected}
PROOF: Final = {
    Control.NONE: "nobody is known to get through to it",
    Control.KUBELET: "the kubelet's readiness probe gets through to that port",
    Control.VANTAGE: "somebody else gets through to it",
}


def rows(one: Comparison, cells: Ints) -> list[Answer]:
    """Each of some cells."""
    observed = _observed(one, cells)
    return [_row(one, cell, observed.get(cell, "none")) for cell in cells.tolist()]


def named(sample: Sample, name: str, *, side: str) -> Mask:
    """Which cells have an end on a side (`from` or `to`) that a person may call so."""
    ends = sample.tables.sources if side == "from" else sample.tables.targets
    which = np.array([name in names(end) for end in ends.all] or [False], np.bool_)
    result: Mask = which[sample.source if side == "from" else sample.target]
    return result


def names(end: End) -> tuple[str, ...]:
    """All that a person may call it."""
    kind, _, rest = end.name.partition("/")
    own = (end.name, end.node, end.namespace, f"zone/{end.zone}", f"namespace/{end.namespace}")
    return (*own, rest, rest.partition("/")[2]) if kind and rest else own


def _observed(one: Comparison, cells: Ints) -> dict[int, str]:
    """What was seen of each cell most, in the span that its verdict rests on."""
    said: dict[int, str] = {}
    counts = dict.fromkeys(cells.tolist(), 0)
    for number, words in enumerate(one.sample.words):
        here = cells[one.compared.span[cells] == number]
        which = np.isin(words.cell, here) & (words.code < 256)  # noqa: PLR2004 - beyond are measures
        columns = (words.cell[which].tolist(), words.code[which].tolist(), words.value[which].tolist())
        for cell, code, count in zip(*columns, strict=True):
            if count > counts[cell]:
                counts[cell] = count
                said[cell] = _word(code)
    reached = one.compared.reached[cells].tolist()
    for cell, answered in zip(cells.tolist(), reached, strict=True):
        if answered and answered >= counts[cell]:
            said[cell] = "open"
    return said


def _word(code: int) -> str:
    try:
        outcome = Outcome(code)
    except ValueError:
        return "none"
    return "local" if outcome.is_local else OBSERVED.get(outcome, "open")


def _row(one: Comparison, cell: int, observed: str) -> Answer:
    sample, tables, compared = one.sample, one.sample.tables, one.compared
    source, target = tables.sources[int(sample.source[cell])], tables.targets[int(sample.target[cell])]
    asked = tables.asks[int(sample.ask[cell])]
    entry = one.answers.every[int(one.answers.number[cell])]
    verdict = Verdict(int(compared.verdict[cell]))
    sent, reached = int(compared.sent[cell]), int(compared.reached[cell])
    return {
        "from": {"vantage": source.name, "node": source.node, "zone": source.zone, "namespace": source.namespace},
        "to": {"name": target.name, "node": target.node, "zone": target.zone, "namespace": target.namespace},
        "layer": LAYERS[int(tables.layer[sample.ask[cell]])].value,
        "kind": KINDS[int(tables.kind[sample.ask[cell]])].value,
        "family": FAMILIES[int(tables.family[sample.ask[cell]])].value,
        "path": f"{int(sample.paths[cell]):016x}",
        "port": asked.port,
        "expected": OF_EXPECTED[Expected(int(one.answers.answer[cell]))],
        "source": "history" if one.past[cell] else entry.source,
        "observed": observed,
        "verdict": verdict.word,
        "because": _because(one, cell, verdict, sent, reached),
        "sent": sent,
        "lost": sent - reached,
        "expectation": {
            "because": entry.because,
            "name": entry.name,
            "match": entry.match,
            "policy": entry.policy,
            "direction": entry.direction,
            "rule": entry.rule,
            "severity": entry.severity,
            "owner": entry.owner,
        },
    }


def _because(one: Comparison, cell: int, verdict: Verdict, sent: int, reached: int) -> str:
    span_s = (one.sample.now_ns - one.sample.spans[int(one.compared.span[cell])].start_ns) / 1e9
    entry = one.answers.every[int(one.answers.number[cell])]
    seen = f"{reached} of {sent} probes got through in {span_s:.0f} s"
    proof = PROOF[Control(int(one.compared.control[cell]))]
    if verdict is Verdict.EXCLUDED:
        return "an end of it comes or goes"
    if verdict is Verdict.UNKNOWN:
        return _on_its_way(one, cell, seen, entry.because) or _unknown(one, cell, sent, entry.because)
    if verdict in {Verdict.BROKEN, Verdict.TARGET_DOWN} and one.past[cell]:
        return f"{seen}; it was open until {open_until(one, cell)}, and no policy change was seen; {proof}"
    if verdict in {Verdict.OK, Verdict.DEGRADED, Verdict.LEAK} and reached:
        return f"{seen}; {entry.because}"
    if verdict is Verdict.OK and entry.match == "any" and one.answers.answer[cell] == Expected.ALLOW:
        proof = "another target of the same declaration is open, which is enough"
    return f"{seen}; {proof}; {entry.because}"


def _on_its_way(one: Comparison, cell: int, seen: str, because: str) -> str:
    """What may still be on its way; empty where that is over, or nothing has changed."""
    if not one.compared.grace[cell]:
        return ""
    if one.since_ns[cell] == ALWAYS:
        return f"{seen}, but an end of it has just come: {because}"
    ago = (one.sample.now_ns - int(one.since_ns[cell])) / 1e9
    return f"{seen}, but another thing is expected since {ago:.0f} s, which may still be on its way: {because}"


def _unknown(one: Comparison, cell: int, sent: int, because: str) -> str:
    if not sent:
        return "no probe of it was judged"
    if one.answers.answer[cell] in {Expected.UNKNOWN, Expected.UNSPECIFIED}:
        return f"nothing is expected: {because}"
    return "too few probes to tell, or its agent is silent or ill"

"""What an operator is told of a cause: what, where, since when and how many probes say so; and what would speak against it.

In: a finding, and the time in words. Out: sentences. Pure.
"""

from typing import Final

from collector.verdict.candidates import ALL, NETWORK
from collector.verdict.finding import Finding
from wire.path import Layer

NAMES: Final = {"service": "service", "dns": "name server", "external": "external host"}
NOUNS: Final = {"zone_pair": "zone", "pair": "", "group": "nodes with"}
LAYERS: Final = {
    Layer.HOST: "the nodes' own addresses fail as well, so it is the network below the pods",
    Layer.POD: "the nodes' own addresses answer, so it is the pod network, its plugin or a policy",
}

NEARLY: Final = 0.995


def sentence(finding: Finding, since: str = "") -> str:
    """One or two sentences, with the numbers."""
    when = f" since {since}" if since else ""
    scope = finding.scope
    if scope.kind == "collector":
        return (
            f"The collector no longer hears {finding.lost} of {finding.sent} agents{when}: look at its own connection first; "
            "what those agents see is not known."
        )
    if scope.kind == "agent" and finding.effect == "silent":
        return f"The agent {scope.component} has sent nothing{when}, while its node answers."
    return f"{_what(finding)}{when}{_why(finding)} ({_numbers(finding)})."


def against(finding: Finding) -> str:
    """What would have contradicted it, with what was seen of that."""
    scope = finding.scope
    sound = max(finding.of_witnesses - finding.witnesses, 0)
    if finding.effect == "silent":
        return "A report from it would have; none has come for more than two report intervals."
    if scope.kind == "pair":
        return "Losses between either end and anybody else would have: those are explained by nothing wider."
    if not finding.score:
        return ""
    others = {
        "zone_pair": "losses from few nodes only, or between other zones as well",
        "service": "the other targets of that layer failing as well",
        "dns": "the other name servers failing as well",
        "external": "the other hosts failing as well",
        "mtu": "short packets lost on the same paths",
        "group": "nodes without that label losing as much, or only some with it losing",
        "policy": "the same nodes losing within one namespace",
    }.get(scope.kind, "losses of one pair, of one zone or of one target only")
    return (
        f"Contradicted by {others}: {sound} of {finding.of_witnesses} that looked saw no loss, and about "
        f"{finding.usual:.1f} events were to be expected of the usual noise, where {finding.events:g} happened."
    )


def _numbers(finding: Finding) -> str:
    counted = f"{finding.lost} of {finding.sent} probes lost"
    if finding.span_ns:
        counted += f" within {finding.span_ns / 1e9:.0f} s"
    if finding.of_witnesses > 1:
        counted += f", seen from {finding.witnesses} of {finding.of_witnesses} places"
    return counted


def _what(finding: Finding) -> str:
    scope, much = finding.scope, _much(finding)
    near, _, far = scope.component.partition(">")
    what = f"{much} {_between(finding, NOUNS.get(scope.kind, scope.kind))} is lost"
    match scope.kind:
        case "agent":
            what = f"Programs on node {near} do not answer, while its kernel does"
        case "widespread":
            what = f"{finding.witnesses} of {finding.of_witnesses} nodes lose probes"
        case "mtu":
            what = f"Long packets {_between(finding, 'node')} do not get through, while short ones do"
        case "policy":
            what = f"{much} from namespace {near} to namespace {far} is lost, though it should be open"
        case "service" | "dns" | "external":
            every = scope.component == ALL
            name = f"every {NAMES[scope.kind]}" if every else f"{NAMES[scope.kind]} {scope.component.partition('/')[2]}"
            what = f"{much} to {name} is lost"
        case "node" if scope.layers not in {NETWORK, Layer.POD.value, Layer.HOST.value}:
            what = f"{much} from node {near} to {scope.layers} targets is lost, which other nodes reach"
        case "node" if scope.direction == "both" and finding.effect == "unreachable":
            what = f"Node {near} is unreachable"
        case "node" if scope.direction == "both" and finding.total and finding.layer is Layer.POD:
            what = f"Pods on node {near} are unreachable"
    return what


def _much(finding: Finding) -> str:
    if finding.lost >= finding.sent:
        return "Everything"
    return f"{finding.loss:.1%} of what is sent" if finding.loss < NEARLY else "Nearly everything"


def _between(finding: Finding, noun: str) -> str:
    scope = finding.scope
    near, _, far = scope.component.partition(">")
    called = f"{noun} " if noun else ""
    if far:
        if scope.direction == "both":
            return f"between {called}{near} and {far}, in both directions"
        return f"from {called}{near} to {called}{far}"
    return {"in": "to", "out": "from", "both": "to and from"}[scope.direction] + f" {called}{near}"


def _why(finding: Finding) -> str:
    scope = finding.scope
    if scope.kind == "agent":
        return ": the host is too busy"
    if scope.layers == NETWORK and scope.kind != "widespread" and (why := LAYERS.get(finding.layer)):
        return f"; {why}"
    return ""

"""What is wrong with declarations, found without a packet.

In: expectations. Out: a sentence for each declaration that selects nothing, contradicts itself, another or the policies in
force, or names a port or a service that does not exist. All of these are accepted, and never silently true.
"""

from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from typing import Final, Literal

from msgspec import Struct

from collector.expectation.asked import missing_ports
from collector.expectation.cluster import Cluster
from collector.expectation.declared import One
from collector.expectation.document import CLUSTER_SCOPED, Declared
from collector.expectation.expected import Expectations
from collector.expectation.reaches import Reach, reaches, selected
from collector.expectation.selection import Selection
from collector.policy.ends import Pod
from collector.policy.evaluate import Answer, Decision

MOST_PAIRS: Final = 20_000
"""Most pairs of classes of ends that are looked at for one declaration."""

Sort = Literal["policies", "another", "itself", "nothing", "port", "service", "elsewhere"]


class Contradiction(Struct, frozen=True):
    """One thing that is wrong with one declaration."""

    name: str
    """Namespace and name of the declaration."""
    sort: Sort
    """`policies`, `another`, `itself`, or what is missing: `nothing` is selected, a `port` or `service` does not exist, or what
    is selected is `elsewhere`, where this kind does not reach."""
    because: str
    severity: Literal["critical", "warning", "info"] = "warning"
    owner: str = ""
    source: str = ""
    """A pair that shows it; empty where none does."""
    target: str = ""
    policy: str = ""
    """The policy that decided otherwise."""


Found = tuple[Sort, str, Reach | None, Decision | None]


def contradictions(expectations: Expectations) -> tuple[Contradiction, ...]:
    """Everything that is wrong with what is declared, in the order of the declarations."""
    found: list[Contradiction] = []
    said: dict[Hashable, Declared] = {}
    for one in expectations.declarations.every:
        pairs = list(islice(reaches(expectations, one), MOST_PAIRS))
        for sort, because, reach, decision in (
            *_of_itself(one),
            *_of_what_is_there(expectations.cluster, one, pairs),
            *_of_others(expectations, one, pairs, said),
            *(_of_policies(expectations, one, pairs) if expectations.read else ()),
        ):
            found.append(_made(one.declared, sort, because, reach, decision))
    return tuple(found)


def _of_itself(one: One) -> Iterator[Found]:
    spec = one.declared.spec
    if spec.slo is not None and spec.expect != "allow":
        yield "itself", f"slo is an objective of open paths, and expect is {spec.expect}", None, None
    if spec.enforcement.deny_outcome != "any" and spec.expect != "deny":
        yield "itself", f"enforcement is about closed paths, and expect is {spec.expect}", None, None
    if spec.match == "any" and spec.expect != "allow":
        yield "itself", f"match any is about open paths, and expect is {spec.expect}", None, None
    for word, selections in (("from", one.sources), ("to", one.targets)):
        for selection in selections:
            for path, selector in selection.peer.selectors:
                if (never := selector.never()) is not None:
                    yield "itself", f"{word}: {path} selects nothing whatever there is: {never}", None, None


def _of_what_is_there(cluster: Cluster, one: One, reaches: Sequence[Reach]) -> Iterator[Found]:
    said = [*_of_sources(cluster, one), *(found for selection in one.targets for found in _of_target(cluster, one, selection))]
    if not said and not reaches:
        said = [("nothing", "no source and target that differ have an address of the same family")]
    yield from ((sort, because, None, None) for sort, because in said)


def _of_sources(cluster: Cluster, one: One) -> Iterator[tuple[Sort, str]]:
    for selection in one.sources:
        if not any(True for _ in selected(selection, cluster)):
            yield "nothing", f"from: {selection} selects nothing"
        if _reaches_elsewhere(selection, cluster):
            yield "elsewhere", f"from: pods of other namespaces need the kind {CLUSTER_SCOPED}, and are left out"


def _of_target(cluster: Cluster, one: One, selection: Selection) -> Iterator[tuple[Sort, str]]:
    ports, service = one.declared.spec.ports, cluster.service.get(selection.service)
    if service is not None:
        missing = missing_ports(ports, service.ports)
        yield from (("port", f"to: {selection} has no port {ask}") for ask in missing)
        if not missing and not service.backings:
            yield "nothing", f"to: {selection} has no ready endpoint"
    elif selection.service:
        yield "service", f"to: there is no {selection}"
    else:
        ends = list(selected(selection, cluster))
        if not ends:
            yield "nothing", f"to: {selection} selects nothing"
        pods = [end for end in ends if isinstance(end, Pod)]
        if pods and all(pod.ports for pod in pods):
            missing = missing_ports(ports, [port for pod in pods for port in pod.ports])
            yield from (("port", f"to: {selection}: no pod declares port {ask}") for ask in missing)


def _of_others(
    expectations: Expectations, one: One, reaches: Sequence[Reach], said: dict[Hashable, Declared]
) -> Iterator[Found]:
    if one.declared.spec.expect == "none":
        return
    told: set[str] = set()
    for reach in reaches:
        key = (expectations.pair_key(reach.source, reach.target), reach.connection, reach.goal.service)
        other = said.setdefault(key, one.declared)
        if other.spec.expect != one.declared.spec.expect and other.name not in told:
            told.add(other.name)
            yield "another", f"{other} says {other.spec.expect} of {reach}", reach, None


def _of_policies(expectations: Expectations, one: One, reaches: Sequence[Reach]) -> Iterator[Found]:
    spec = one.declared.spec
    if spec.expect == "none" or not reaches:
        return
    decided = [(reach, expectations.policies.decide(reach.source, reach.target, reach.connection)) for reach in reaches]
    wrong = Answer.DENY if spec.expect == "allow" else Answer.ALLOW
    against = [(reach, decision) for reach, decision in decided if decision.answer is wrong]
    if spec.match == "any" and spec.expect == "allow":
        fine = {expectations.class_key(reach.source) for reach, decision in decided if decision.answer is not Answer.DENY}
        against = [pair for pair in against if expectations.class_key(pair[0].source) not in fine]
    if against:
        reach, decision = against[0]
        share = "" if len(decided) == 1 else f" ({len(against)} of {len(decided)} kinds of paths)"
        verb = "close" if wrong is Answer.DENY else "open"
        because = f"it says {spec.expect}, and the policies in force {verb} {reach}: {decision.because}{share}"
        yield "policies", because, reach, decision


def _reaches_elsewhere(selection: Selection, cluster: Cluster) -> bool:
    pods = selection.peer.pods
    if not selection.own or pods is None or pods.namespace_selector is None:
        return False
    everywhere = Selection(selection.peer, "", asks=True)
    return any(pod.namespace.name != selection.own and everywhere.selects(pod) for pod in cluster.pods)


def _made(one: Declared, sort: Sort, because: str, reach: Reach | None, decision: Decision | None) -> Contradiction:
    return Contradiction(
        one.name,
        sort,
        because,
        severity=one.spec.severity,
        owner=one.spec.owner,
        source=str(reach.source) if reach else "",
        target=str(reach.target) if reach else "",
        policy=next((reason.policy for reason in decision.reasons if reason.policy), "") if decision else "",
    )

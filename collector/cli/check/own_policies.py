"""Whether netmatrix's own namespace keeps its agents from each other or from the collector. Pure.

A policy that is about everybody in a namespace is about agents as well, and then everything looks broken from everywhere.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from collector.cli.check.finding import Finding, Missing, State, several, unknown, wrong
from collector.cli.check.seen import Installation, Page
from collector.cli.check.vantages import AGENT_PORT, component_of, pod_of, readable
from collector.policy.ends import Connection, Pod, Protocol
from collector.policy.evaluate import Answer, Policies
from wire.path import Family

POINT: Final = "own policies"
ECHO: Final[Sequence[tuple[Protocol, int]]] = (("UDP", 8620), ("TCP", 8620))
MANY: Final = 2
"""Agents from which all that is lost is no fault of one of them."""


def own_policies(seen: Installation, page: Page) -> Iterator[Finding]:
    """What keeps agents apart by the policies there are, or else what looks as if something did."""
    documents = seen.policies.get(seen.namespace, [])
    if isinstance(documents, Missing):
        yield unknown(POINT, documents)
        return
    denied = list(_denied(seen, Policies(readable(documents))))
    do = f"let agents reach each other and the collector again: kubectl -n {seen.namespace} get networkpolicies"
    if denied:
        yield wrong(POINT, several(denied, most=2), do)
    elif _all_lost(page):
        said = "all targets fail from all agents, and no NetworkPolicy there is says so: suspect a policy of another kind"
        yield wrong(POINT, said, f"see what the network plugin does to pods of namespace {seen.namespace}")
    else:
        yield Finding(POINT, State.OK, "they let agents reach each other and the collector")


def _denied(seen: Installation, policies: Policies) -> Iterator[str]:
    """Each sort of connection that is denied, and by what."""
    agents, collectors = _some(seen, "agent"), _some(seen, "collector")
    ways: list[tuple[str, Sequence[Pod], Sequence[Pod], Sequence[tuple[Protocol, int]]]] = [
        ("each other", agents[:1], agents[1:2], ECHO),
        ("the collector", agents[:1], collectors[:1], (("TCP", AGENT_PORT),)),
    ]
    for whom, sources, targets, connections in ways:
        said = {
            reason.because
            for source in sources
            for target in targets
            for protocol, port in connections
            for family in (Family.IPV4, Family.IPV6)
            for reason in policies.decide(source, target, Connection(protocol, port, family)).reasons
            if reason.answer is Answer.DENY
        }
        if said:
            yield f"agents may not reach {whom}: {several(said, most=2)}"


def _some(seen: Installation, component: str) -> list[Pod]:
    pods: list[Any] = [] if isinstance(seen.pods, Missing) else seen.pods
    own = [one for one in pods if component_of(one) == component and one["metadata"]["namespace"] == seen.namespace]
    return [one for one in (pod_of(seen, pod) for pod in own) if one.addresses]


def _all_lost(page: Page) -> bool:
    """Whether several agents report, and nothing that they send to each other or to nodes arrives anywhere."""
    if isinstance(page.layers, Missing) or isinstance(page.agents, Missing):
        return False
    reporting = sum(agent["state"] == "reporting" for agent in page.agents)
    found = [layer for layer in page.layers if layer["from"] in {"pod", "host"} and layer["sent"]]
    return reporting >= MANY and bool(found) and all(layer["sent"] and not layer["received"] for layer in found)

"""What is wrong with the vantages in namespaces, and which pairs of namespaces nothing measures for want of one. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from collector.cli.check.finding import Finding, Missing, note, ok, several, unknown, wrong
from collector.cli.check.seen import Installation, Page, asks
from collector.policy.ends import Connection, ContainerPort, Namespace, Pod
from collector.policy.evaluate import Answer, Policies
from collector.policy.labels import namespace_labels
from collector.policy.network_policy import network_policy
from collector.policy.rules import Direction, Policy, Side

EGRESS_POLICY: Final = "netmatrix-vantage"
"""Of manifests/components/vantage-egress."""
AGENT_PORT: Final = 8443
NOT_HEARD: Final = frozenset({"silent", "never"})

Object = Mapping[str, Any]


def vantages(seen: Installation, page: Page) -> Iterator[Finding]:
    """All points of it."""
    for missing in (seen.pods, seen.namespaces):
        if isinstance(missing, Missing):
            yield unknown("vantages", missing)
            return
    yield from _vantages(seen, page)
    yield from _policies(seen)
    if not isinstance(page.itself, Missing):
        yield _pairs(page.itself["namespaces"])


def _vantages(seen: Installation, page: Page) -> Iterator[Finding]:
    """Each namespace that asks for a vantage has one, and each reports."""
    assert not isinstance(seen.namespaces, Missing)  # noqa: S101 - looked at before
    pods = _pods_of_vantages(seen)
    having = {pod["metadata"]["namespace"] for pod in pods}
    wanting = sorted(one["metadata"]["name"] for one in seen.namespaces if asks(one) and one["metadata"]["name"] not in having)
    for name in wanting:
        do = f"kubectl apply --server-side -n {name} -k manifests/components/vantage"
        yield wrong("vantages", f"namespace {name} asks for a vantage and has none", do)
    not_asking = having - {one["metadata"]["name"] for one in seen.namespaces if asks(one)}
    for name in sorted(not_asking):
        said = f"namespace {name} has a vantage and does not ask for one, so that nobody takes notice of it"
        yield wrong("vantages", said, f"kubectl label namespace {name} netmatrix.io/vantage=true")
    if isinstance(page.agents, Missing):  # which is a point of its own
        return
    states = {agent["vantage"]: agent["state"] for agent in page.agents}
    silent = []
    for pod in pods:
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if pod["metadata"]["namespace"] not in not_asking and states.get(name, "never") in NOT_HEARD:
            silent.append(name)
            yield _silent(seen, page, pod, name)
    if not (wanting or not_asking or silent):
        yield ok("vantages", f"{len(pods)} in {len(having)} namespaces report" if pods else "no namespace asks for one")


def _silent(seen: Installation, page: Page, pod: Object, name: str) -> Finding:
    """A vantage that does not report: whether its namespace keeps it from that."""
    space = pod["metadata"]["namespace"]
    found = seen.policies.get(space, [])
    if isinstance(found, Missing):
        return unknown("vantages", Missing(f"{name} does not report, and whether its namespace blocks it: {found.because}"))
    blocked = _blocked(seen, pod, found)
    if blocked:
        do = f"kubectl apply --server-side -n {space} -k manifests/components/vantage-egress, or let it through yourself"
        return wrong("vantages", f"{name} cannot report: blocked by its namespace: {blocked}", do)
    if because := _as_the_collector_sees(page, name):
        do = f"let it through to the collector: see which policies are about pods of namespace {space}"
        return wrong("vantages", f"{name} cannot report: {because}", do)
    return wrong("vantages", f"{name} does not report", f"look at kubectl -n {space} logs {pod['metadata']['name']}")


def _as_the_collector_sees(page: Page, name: str) -> str:
    """What the collector says of a vantage that is blocked: it knows policies of every kind; empty where it says nothing."""
    itself: Object = {} if isinstance(page.itself, Missing) else page.itself
    names = ((itself.get("agents") or {}).get("blocked") or {}).get("names") or ()
    return next((one.removeprefix(f"{name}: ") for one in names if one.startswith(f"{name}: ")), "")


def _blocked(seen: Installation, pod: Object, documents: list[Any]) -> str:
    """Why the namespace's NetworkPolicies keep a vantage from the collector; empty where they do not."""
    collectors = [
        one
        for one in ([] if isinstance(seen.pods, Missing) else seen.pods)
        if component_of(one) == "collector" and one["metadata"]["namespace"] == seen.namespace
    ]
    policies, subject = Policies(readable(documents)), pod_of(seen, pod)
    for collector in collectors:
        side = Side(Direction.EGRESS, subject, pod_of(seen, collector), Connection("TCP", AGENT_PORT))
        denied = [reason for reason in policies.decided(side) if reason.answer is Answer.DENY]
        if denied:
            names = several(policy.name for policy in policies.selecting(subject, Direction.EGRESS))
            return f"its egress is isolated by {names}, and nothing lets it through to the collector"
    return ""


def _policies(seen: Installation) -> Iterator[Finding]:
    """vantage-egress stands only where the namespace isolates egress anyway: else what is measured would be that policy."""
    applied, point = 0, "vantage-egress"
    well = True
    for space, documents in sorted(seen.policies.items()):
        if space == seen.namespace:  # which has no vantages, and a point of its own
            continue
        if isinstance(documents, Missing):
            yield unknown(point, documents)
            well = False
            continue
        if not any(one["metadata"]["name"] == EGRESS_POLICY for one in documents):
            continue
        applied += 1
        policies = Policies(readable(documents))
        for pod in _pods_of_vantages(seen):
            if pod["metadata"]["namespace"] != space:
                continue
            isolating = {policy.name for policy in policies.selecting(pod_of(seen, pod), Direction.EGRESS)}
            if isolating == {EGRESS_POLICY}:
                said = f"in namespace {space} nothing else isolates egress, so that it is what the vantage there measures"
                yield wrong(point, said, f"kubectl -n {space} delete networkpolicy {EGRESS_POLICY}")
                well = False
                break
    if well:
        yield ok(point, f"applied in {applied} namespaces, all of which isolate egress" if applied else "applied nowhere")


def _pairs(said: Object) -> Finding:
    found = said["unmeasured"]
    if not found["pairs"]:
        return ok("namespaces", "every pair of those that take part is measured")
    sources, targets = (several(found[end]["names"], count=found[end]["count"]) for end in ("from", "to"))
    text = (
        f"{found['pairs']} pairs are measured by nothing for want of a vantage: from {sources}, each to the others of {targets}"
    )
    return note("namespaces", text, "label a namespace netmatrix.io/vantage=true and apply components/vantage in it")


def readable(documents: list[Any]) -> Iterator[Policy]:
    """The policies of these documents, without those that we cannot read."""
    for document in documents:
        try:
            yield network_policy(document)
        except ValueError:  # the API server took it, so it is of a newer form than we know
            continue


def _pods_of_vantages(seen: Installation) -> list[Any]:
    return [] if isinstance(seen.pods, Missing) else [pod for pod in seen.pods if component_of(pod) == "vantage"]


def component_of(pod: Object) -> str:
    """What of netmatrix a pod is."""
    return str((pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component", ""))


def pod_of(seen: Installation, pod: Object) -> Pod:
    """A pod as policies see it."""
    space = pod["metadata"]["namespace"]
    spaces = [] if isinstance(seen.namespaces, Missing) else seen.namespaces
    labels = next((one["metadata"].get("labels") or {} for one in spaces if one["metadata"]["name"] == space), {})
    containers = (pod.get("spec") or {}).get("containers") or ()
    return Pod(
        namespace=Namespace(space, namespace_labels(space, labels)),
        name=pod["metadata"]["name"],
        labels=pod["metadata"].get("labels") or {},
        addresses=tuple(one["ip"] for one in (pod.get("status") or {}).get("podIPs") or ()),
        ports=tuple(
            ContainerPort(port["containerPort"], port.get("protocol", "TCP"), port.get("name", ""))
            for container in containers
            for port in container.get("ports") or ()
        ),
        node=(pod.get("spec") or {}).get("nodeName", ""),
    )

"""What is wrong with what is installed, from what the API server says. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from collector.cli.check.finding import Finding, Missing, note, ok, several, unknown, wrong
from collector.cli.check.seen import Installation
from collector.discovery.cluster.rights import RIGHTS

OLDEST: Final = (1, 33)
SYSCTL: Final = "SysctlForbidden"

SPARE: Final = frozenset(f"{verb} {one.resource}" for one in RIGHTS if one.optional for verb in one.verbs)
"""Rights without which everything else works."""

Object = Mapping[str, Any]


def installed(seen: Installation) -> Iterator[Finding]:
    """All points of it."""
    yield _api(seen)
    yield _rights(seen)
    yield _collector(seen)
    yield _collector_rights(seen)
    yield _agents(seen)


def _api(seen: Installation) -> Finding:
    if isinstance(seen.version, Missing):
        return unknown("api", seen.version)
    text = str(seen.version.get("gitVersion", "?"))
    numbers = re.match(r"v?(\d+)\.(\d+)", text)
    if numbers is None or (int(numbers[1]), int(numbers[2])) >= OLDEST:
        return ok("api", f"Kubernetes {text}")
    oldest = ".".join(map(str, OLDEST))
    return wrong("api", f"Kubernetes {text} is older than {oldest}", f"upgrade the cluster to {oldest} or newer")


def _rights(seen: Installation) -> Finding:
    if isinstance(seen.may_ask, Missing):
        return unknown("your rights", seen.may_ask)
    if seen.may_ask:
        return ok("your rights", "you may ask the collector")
    said = f"you may not get services/proxy of http:netmatrix-collector:http-metrics in namespace {seen.namespace}"
    return wrong("your rights", said, "have somebody bind a Role with that right to you")


def _collector(seen: Installation) -> Finding:
    found = seen.deployment
    if isinstance(found, Missing):
        if not found.absent:
            return unknown("collector", found)
        said = f"there is no Deployment netmatrix-collector in namespace {seen.namespace}"
        return wrong("collector", said, "kubectl apply --server-side -f manifests/install.yaml, or -n for where it is")
    if (found.get("spec") or {}).get("replicas", 1) != 1:
        said = f"it is scaled to {found['spec']['replicas']}, and what agents report belongs in one matrix"
        return wrong("collector", said, f"kubectl -n {seen.namespace} scale deployment netmatrix-collector --replicas=1")
    if (found.get("status") or {}).get("availableReplicas"):
        return ok("collector", "it runs")
    pods = [pod for pod in _pods(seen) if _component(pod) == "collector" and pod["metadata"]["namespace"] == seen.namespace]
    return _not_ready("collector", seen, "deployment/netmatrix-collector", pods, "it is not ready")


def _collector_rights(seen: Installation) -> Finding:
    if isinstance(seen.denied, Missing):
        return unknown("its rights", seen.denied)
    if not seen.denied:
        return ok("its rights", "the collector may do all that it does")
    needed = [one for one in seen.denied if one not in SPARE]
    if not needed:
        said = f"the collector may not {several(dict.fromkeys(seen.denied))}: so far it is unknown what should be reachable"
        return note("its rights", said, "nothing, where that is meant; else apply the manifests again")
    do = "apply the manifests again, and components/vantage in each namespace with vantages: they bring the roles"
    return wrong("its rights", f"the collector may not {several(needed)}", do)


def _agents(seen: Installation) -> Finding:
    """An agent on every node that runs Linux."""
    if isinstance(seen.daemonset, Missing):
        if not seen.daemonset.absent:
            return unknown("agents", seen.daemonset)
        said = f"there is no DaemonSet netmatrix-agent in namespace {seen.namespace}"
        return wrong("agents", said, "kubectl apply --server-side -f manifests/install.yaml")
    for missing in (seen.nodes, seen.pods):
        if isinstance(missing, Missing):
            return unknown("agents", missing)
    nodes = [node for node in seen.nodes if _labels(node).get("kubernetes.io/os", "linux") == "linux"]  # type: ignore[union-attr]  # as above
    pods: dict[str, list[Object]] = {}
    for pod in _pods(seen):
        if _component(pod) == "agent" and pod["metadata"]["namespace"] == seen.namespace:
            pods.setdefault((pod.get("spec") or {}).get("nodeName", "") or _wanted(pod), []).append(pod)
    lacking = [node["metadata"]["name"] for node in nodes if not any(map(_is_ready, pods.get(node["metadata"]["name"], ())))]
    if not lacking:
        return ok("agents", f"one on each of {len(nodes)} nodes")
    there = [pod for name in lacking for pod in pods.get(name, ())]
    said = f"{len(lacking)} of {len(nodes)} nodes have no agent that is ready: {several(lacking)}"
    return _not_ready("agents", seen, "daemonset/netmatrix-agent", there, said)


def _not_ready(point: str, seen: Installation, owner: str, pods: Sequence[Object], said: str) -> Finding:
    """Why pods of an owner are not ready, and what to do about it."""
    for pod in pods:
        if trouble := trouble_of(pod):
            name = pod["metadata"]["name"]
            return wrong(point, f"{said}: {name}: {trouble}", _cure(trouble, f"-n {seen.namespace} describe pod {name}"))
    kind, _, owner_name = owner.partition("/")
    if not pods and not isinstance(seen.events, Missing):
        for event in reversed(seen.events):
            about = event.get("involvedObject") or {}
            if about.get("kind", "").lower() in {kind, "replicaset"} and str(about.get("name", "")).startswith(owner_name):
                message = str(event.get("message", ""))
                return wrong(point, f"{said}: {message}", _cure(message, f"-n {seen.namespace} describe {owner}"))
    state = "there is no pod" if not pods else f"{several(pod['metadata']['name'] for pod in pods)} not ready"
    where = f"logs {pods[0]['metadata']['name']}" if pods else f"describe {owner}"
    return wrong(point, f"{said}: {state}", f"look at kubectl -n {seen.namespace} {where}")


def trouble_of(pod: Object) -> str:
    """Why a pod is not ready, as its status has it; empty where nothing says."""
    status = pod.get("status") or {}
    if status.get("reason"):
        return f"{status['reason']} {status.get('message', '')}".strip()
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        ended = (container.get("lastState") or {}).get("terminated") or state.get("terminated") or {}
        waiting = state.get("waiting") or {}
        if waiting.get("reason") in {None, "ContainerCreating", "PodInitializing"} and not ended:
            continue
        last = str(ended.get("message") or "").strip().splitlines()
        word = waiting.get("reason") or ended.get("reason") or "ended"
        return f"{word}: {last[-1]}" if last else f"{word} {waiting.get('message', '')}".strip()
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
    return ""


_CURES: Final = (
    (SYSCTL, "allow the sysctl net.ipv4.ping_group_range on these nodes, see docs/install.md"),
    ("ImagePull", "push the image to where the nodes find it, or load it into them, see docs/install.md"),
    ("ErrImage", "push the image to where the nodes find it, or load it into them, see docs/install.md"),
    ("PodSecurity", "let the namespace enforce restricted and nothing narrower, and keep the manifests as they are"),
    ("quota", "raise the quota of the namespace"),
    ("OOMKilled", "give it more memory: manifests/overlays/large"),
    ("config.yaml: ", "correct the ConfigMap netmatrix; netmatrix check -f config.yaml says when it is right"),
    ("Unschedulable", "make room on the node, or let the pod tolerate what keeps it away"),
)


def _cure(trouble: str, look: str) -> str:
    return next((cure for word, cure in _CURES if word in trouble), f"look at kubectl {look}")


def _pods(seen: Installation) -> list[Any]:
    return [] if isinstance(seen.pods, Missing) else seen.pods


def _labels(of: Object) -> Mapping[str, str]:
    return of["metadata"].get("labels") or {}


def _component(pod: Object) -> str:
    return _labels(pod).get("app.kubernetes.io/component", "")


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _wanted(pod: Object) -> str:
    """The node that a DaemonSet's pod is for before it is there (its affinity names it)."""
    node = ((pod.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}
    terms = (node.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ()
    for term in terms:
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return ""

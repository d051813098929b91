"""What is wrong with the collector and what it measures, from what it says of itself. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from collector.cli.check.finding import Finding, Missing, State, note, ok, several, unknown, wrong
from collector.cli.check.seen import Page
from collector.cli.listing import age_text
from collector.cli.table import loss_text

Answer = Mapping[str, Any]

SYNC_SECONDS: Final = 180.0
"""In a cluster at rest the API server is silent for up to a minute."""
PLAN_SECONDS: Final = 3600.0
"""Plans get other keys every half an hour."""
ENDS_SECONDS: Final = 5 * 86_400.0
"""The collector renews its certificate ten days before it ends."""
SCRAPE_SECONDS: Final = 300.0

LOST: Final = ("refused", "dropped")
FAILURES: Final = ("away", "failed", "denied", "unreadable", *LOST)
"""What keeps a notification from its receiver (collector.notify), and what loses it."""


def measured(page: Page, *, now: float, namespace: str) -> Iterator[Finding]:
    """All points of it; `now` is in Unix seconds."""
    said = page.itself
    if isinstance(said, Missing):
        yield Finding("its answers", State.UNKNOWN, said.because, "see the points `collector` and `your rights`")
        return
    yield _configuration(said["configuration"], namespace)
    yield _discovery(said["discovery"])
    yield _tls(said["identity"], now)
    yield _reports(said["agents"], said["identity"], namespace)
    yield _kinds(said["agents"])
    yield _plan(said["plan"])
    yield _scrape(said)
    yield from _notifications(said.get("notifications") or {})
    yield unknown("dns", page.layers) if isinstance(page.layers, Missing) else _dns(page.layers)


def _configuration(said: Answer, namespace: str) -> Finding:
    if said["refused"]:
        do = "correct the ConfigMap netmatrix; netmatrix check -f config.yaml says when it is right"
        return wrong("configuration", f"refused, the last one is in force: {said['refused']}", do)
    if said["waiting"]:
        do = f"kubectl -n {namespace} rollout restart deployment netmatrix-collector"
        return note("configuration", f"in force with the next start: {several(said['waiting'])}", do)
    return ok("configuration", f"{said['file']} is in force")


def _discovery(said: Answer) -> Finding:
    if said["source"] != "cluster":
        return ok("discovery", f"from the {said['source']}")
    watches = [one for one in said["watches"] if not one.get("absent")]  # a kind that this cluster does not have is no fault
    refused = [f"{one['resource']}: {one['refused']}" for one in watches if one["refused"]]
    if said["age_seconds"] > SYNC_SECONDS or any(not one["listed"] for one in watches):
        because = several(refused, most=2) or "the API server says nothing"
        do = "see the points `api` and `its rights`, and whether the collector's node reaches the API server"
        return wrong("discovery", f"what is known of the cluster is {age_text(said['age_seconds'])} old: {because}", do)
    if said["left_out"] or said["unread"]:
        words = [f"{count} for {word}" for word, count in said["left_out"].items()]
        words += [f"{said['unread']} not understood"] if said["unread"] else []
        do = "kubectl get events -A --field-selector reason=NotProbed says which and why"
        return note("discovery", f"left out: {several(words)}", do)
    found = said["found"]
    return ok("discovery", f"{found['nodes']} nodes, {found['vantages']} agents and vantages, {found['services']} services")


def _tls(said: Answer, now: float) -> Finding:
    if said["by"] != "tokens":
        return ok("tls", "agents and collector know each other by keys and certificates of the configuration")
    if said["faults"]["count"]:
        do = "apply the manifests again: they bring the Secret, the ConfigMaps and the roles to fill them"
        return wrong("tls", several(said["faults"]["names"], most=2, count=said["faults"]["count"]), do)
    ends = {name: one["ends"] - now for name, one in said["certificates"].items()}
    if not ends:
        return wrong("tls", "there is no authority yet, so that no agent is answered", "see the collector's log")
    name, left = min(ends.items(), key=lambda one: one[1])
    if left < ENDS_SECONDS:
        when = f"ends in {age_text(left)}" if left > 0 else "has ended"
        return wrong("tls", f"the certificate of the {name} {when}", "see why in the collector's log; a restart renews it")
    return ok("tls", f"certificates are good for {left / 86_400:.0f} days")


def _reports(agents: Answer, identity: Answer, namespace: str) -> Finding:
    missing = [(word, agents[word]) for word in ("never", "silent") if agents[word]["count"]]
    if not missing:
        return ok("reports", f"{agents['reporting']['count']} of {agents['expected']} agents and vantages report")
    said = "; ".join(
        f"{found['count']} {'have never reported' if word == 'never' else 'are silent'}: "
        f"{several(found['names'], count=found['count'])}"
        for word, found in missing
    )
    refused = [f"{word} {count}" for word, count in sorted(identity["refused"].items()) if count]
    because = f"; refused so far: {several(refused)}" if refused else ""
    do = f"kubectl -n {namespace} logs of one of their pods says what it is told; see the points `agents` and `tls`"
    return wrong("reports", f"of {agents['expected']}, {said}{because}", do)


def _kinds(agents: Answer) -> Finding:
    if not agents["reporting"]["count"]:
        return unknown("icmp", Missing("no agent reports"))
    for kind, found in agents["unsupported"].items():
        said = f"{found['count']} cannot send {kind}: {several(found['names'], count=found['count'])}"
        if kind.startswith("icmp"):
            return wrong("icmp", said, "their pods need the sysctl net.ipv4.ping_group_range, see docs/install.md")
        return wrong("kinds", said, "see the log of one of them")
    return ok("icmp", "every agent that reports can send every kind")


def _plan(said: Answer) -> Finding:
    age = age_text(said["age_seconds"])
    if said["age_seconds"] > PLAN_SECONDS:
        return wrong("plan", f"the last one was made {age} ago, and keys rotate sooner", "see the collector's log")
    if said["notes"]:
        return note("plan", several(said["notes"], most=3), "raise the budgets of `plan`, or ask for less")
    if not said["paths"]:
        return wrong("plan", "nobody is asked to probe anything", "see the points `agents` and `discovery`")
    return ok("plan", f"{said['paths']} paths, made {age} ago")


def _scrape(said: Answer) -> Finding:
    age = said["scrape"]["age_seconds"]
    if age is not None and age <= SCRAPE_SECONDS:
        return ok("scrape", f"the metrics were read {age_text(age)} ago")
    if age is None and said["uptime_seconds"] <= SCRAPE_SECONDS:
        return ok("scrape", f"the collector runs for {age_text(said['uptime_seconds'])} only")
    do = "manifests/overlays/kube-prometheus, kube-prometheus-stack and components/scrape-annotations have Prometheus read them"
    if age is None:
        return note("scrape", "nobody reads the metrics", do)
    return wrong("scrape", f"nobody has read the metrics for {age_text(age)}", do)


def _notifications(receivers: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    """Whether they arrive; nothing where the collector tells nobody by itself."""
    for receiver, said in sorted(receivers.items()):
        failed = [f"{outcome} {said[outcome]} times" for outcome in FAILURES if said.get(outcome)]
        do = "docs/runbooks/NetmatrixNotificationsFailing.md says what that means, and the collector's log since when"
        if said["waiting"] and failed:
            yield wrong("notifications", f"{said['waiting']} wait for {receiver}: {several(failed)}", do)
        elif any(said.get(outcome) for outcome in LOST):
            yield note("notifications", f"some for {receiver} never arrived: {several(failed)}", do)
        else:
            yield ok("notifications", f"{said.get('sent', 0)} arrived at {receiver}")


def _dns(layers: list[Any]) -> Finding:
    found = next((layer for layer in layers if layer["from"] == "dns"), None)
    if found is None:
        return wrong(
            "dns", "no name server is known", "name the cluster's in discovery.dns_services, see docs/configuration.md"
        )
    if not found["sent"]:
        return unknown("dns", Missing("no question to a name server was judged yet"))
    lost = found["sent"] - found["received"]
    if lost:
        said = f"{loss_text(found['loss'])} of {found['sent']} questions were not answered well"
        return wrong("dns", said, "netmatrix matrix --layer dns --by node:target says from where to which")
    return ok("dns", f"{found['received']} questions answered within a minute")

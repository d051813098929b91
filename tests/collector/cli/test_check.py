"""What `netmatrix check` says follows from what was seen. The same against a real cluster is in tests/cluster/test_check.py."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from collector.cli import main
from collector.cli.check.finding import Finding, Missing, State, several
from collector.cli.check.installation import lines_of
from collector.cli.check.installed import installed, trouble_of
from collector.cli.check.measured import measured
from collector.cli.check.seen import Installation, Page
from collector.cli.check.vantages import vantages

NOW = 1_800_000_000.0
NONE = {"count": 0, "names": []}
NAMESPACE = "netmatrix"


def some(*names: str) -> dict[str, object]:
    return {"count": len(names), "names": list(names)}


def page(**changes: Mapping[str, Any]) -> Page:
    """Of a collector that is well, but for the keys of some sections."""
    well: dict[str, dict[str, Any]] = {
        "configuration": {"file": "config.yaml", "refused": None, "waiting": []},
        "discovery": {
            "source": "cluster",
            "age_seconds": 1.0,
            "watches": [{"resource": "nodes", "listed": True, "refused": None}],
            "left_out": {},
            "unread": 0,
            "found": {"nodes": 1, "vantages": 2, "services": 3},
        },
        "identity": {
            "by": "tokens",
            "refused": {},
            "faults": NONE,
            "certificates": {"server": {"ends": NOW + 20 * 86_400}, "authority": {"ends": NOW + 900 * 86_400}},
        },
        "agents": {"expected": 2, "reporting": some("n1", "shop/v-0"), "never": NONE, "silent": NONE, "unsupported": {}},
        "plan": {"age_seconds": 9.0, "stretched": 1.0, "notes": [], "paths": 7},
        "scrape": {"age_seconds": 15.0},
        "namespaces": {"unmeasured": {"pairs": 0, "from": NONE, "to": NONE}},
    }
    itself = {"uptime_seconds": 4_000.0, **{name: part | dict(changes.get(name, {})) for name, part in well.items()}}
    layers = [{"from": "dns", "sent": 9, "received": 9, "loss": 0.0}]
    agents = [{"vantage": "n1", "state": "reporting"}, {"vantage": "shop/v-0", "state": "reporting"}]
    return Page(itself=itself, agents=agents, layers=layers)


def found(seen: Page) -> dict[str, Finding]:
    return {one.point: one for one in measured(seen, now=NOW, namespace=NAMESPACE)}


def test_of_a_collector_that_is_well_all_is_well() -> None:
    points = found(page())
    assert {one.state for one in points.values()} == {State.OK}
    assert list(points) == ["configuration", "discovery", "tls", "reports", "icmp", "plan", "scrape", "dns"]


@pytest.mark.parametrize(
    ("section", "change", "point", "state", "said"),
    [
        ("configuration", {"refused": "config.yaml: x"}, "configuration", "wrong", "refused, the last one is in force: config"),
        ("configuration", {"waiting": ["plan.report"]}, "configuration", "note", "in force with the next start: plan.report"),
        ("discovery", {"age_seconds": 600.0}, "discovery", "wrong", "what is known of the cluster is 10 min old: the API"),
        (
            "discovery",
            {"watches": [{"resource": "nodes", "listed": False, "refused": "403 no"}]},
            "discovery",
            "wrong",
            "what is known of the cluster is 1 s old: nodes: 403 no",
        ),
        ("discovery", {"left_out": {"annotation": 2}}, "discovery", "note", "left out: 2 for annotation"),
        ("identity", {"certificates": {}}, "tls", "wrong", "there is no authority yet"),
        ("identity", {"faults": some("shop/netmatrix-ca: 403")}, "tls", "wrong", "shop/netmatrix-ca: 403"),
        (
            "identity",
            {"certificates": {"server": {"ends": NOW - 1}}},
            "tls",
            "wrong",
            "the certificate of the server has ended",
        ),
        ("agents", {"silent": some("n2")}, "reports", "wrong", "of 2, 1 are silent: n2"),
        ("agents", {"never": some("n2")}, "reports", "wrong", "of 2, 1 have never reported: n2"),
        ("agents", {"unsupported": {"icmp/ipv4": some("n1")}}, "icmp", "wrong", "1 cannot send icmp/ipv4: n1"),
        ("agents", {"reporting": NONE}, "icmp", "unknown", "no agent reports"),
        ("plan", {"age_seconds": 7_300.0}, "plan", "wrong", "the last one was made 2"),
        ("plan", {"notes": ["all intervals are twice as long"]}, "plan", "note", "all intervals are twice as long"),
        ("plan", {"paths": 0}, "plan", "wrong", "nobody is asked to probe anything"),
        ("scrape", {"age_seconds": 900.0}, "scrape", "wrong", "nobody has read the metrics for 15 min"),
        ("scrape", {"age_seconds": None}, "scrape", "note", "nobody reads the metrics"),
    ],
)
def test_what_is_not_as_it_should_be_is_one_point_with_what_to_do(
    section: str, change: dict[str, object], point: str, state: str, said: str
) -> None:
    points = found(page(**{section: change}))
    assert (points[point].state, points[point].said[: len(said)]) == (state, said)
    assert points[point].do
    assert [one.point for one in points.values() if one.state is not State.OK] == [point]


@pytest.mark.parametrize(
    ("said", "state", "sentence"),
    [
        ({"waiting": 0, "sent": 4}, "ok", "4 arrived at chat"),
        ({"waiting": 0, "sent": 4, "away": 7}, "ok", "4 arrived at chat"),
        ({"waiting": 1}, "ok", "0 arrived at chat"),
        ({"waiting": 2, "away": 7, "unreadable": 1}, "wrong", "2 wait for chat: away 7 times, unreadable 1 times"),
        ({"waiting": 0, "sent": 4, "refused": 1}, "note", "some for chat never arrived: refused 1 times"),
    ],
)
def test_whether_notifications_arrive_is_a_point_where_there_are_receivers(
    said: dict[str, int], state: str, sentence: str
) -> None:
    seen = page()
    assert isinstance(seen.itself, dict)
    point = found(replace(seen, itself=seen.itself | {"notifications": {"chat": said}}))["notifications"]
    assert (point.state, point.said) == (state, sentence)
    assert "notifications" not in found(page())


def test_lost_and_missing_answers_of_name_servers_are_told_apart() -> None:
    lost = [{"from": "dns", "sent": 9, "received": 6, "loss": 1 / 3}]
    assert found(replace(page(), layers=lost))["dns"].said == "33.3% of 9 questions were not answered well"
    assert found(replace(page(), layers=[]))["dns"].said == "no name server is known"
    unjudged = [{"from": "dns", "sent": 0, "received": 0, "loss": None}]
    assert found(replace(page(), layers=unjudged))["dns"].state is State.UNKNOWN


def test_a_collector_that_does_not_answer_is_one_point_and_nothing_of_it_passes_for_well() -> None:
    missing = Missing("no")
    assert [(one.point, one.state) for one in found(Page(missing, missing, missing)).values()] == [
        ("its answers", State.UNKNOWN)
    ]


def pod(name: str, component: str, namespace: str = NAMESPACE, *, node: str = "n1") -> dict[str, Any]:
    ready = [{"type": "Ready", "status": "True"}]
    ports = [{"containerPort": 8443, "name": "https-agents"}] if component == "collector" else []
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/component": component}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "ports": ports}]},
        "status": {"conditions": ready, "podIPs": [{"ip": "10.0.0.1"}]},
    }


def space(name: str, *, asks: bool = False) -> dict[str, Any]:
    labels = {"kubernetes.io/metadata.name": name, **({"netmatrix.io/vantage": "true"} if asks else {})}
    return {"metadata": {"name": name, "labels": labels}}


def policy(name: str, *, egress: object = None) -> dict[str, Any]:
    spec = {"podSelector": {}, "policyTypes": ["Egress"], **({"egress": egress} if egress else {})}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


INSTALLED = Installation(
    namespace=NAMESPACE,
    version={"gitVersion": "v1.33.0-eks-1"},
    may_ask=True,
    deployment={"spec": {"replicas": 1}, "status": {"availableReplicas": 1}},
    daemonset={},
    nodes=[
        {"metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux"}}},
        {"metadata": {"name": "w", "labels": {"kubernetes.io/os": "windows"}}},
    ],
    namespaces=[space(NAMESPACE), space("shop", asks=True)],
    pods=[pod("c", "collector"), pod("a", "agent"), pod("v-0", "vantage", "shop")],
    events=[],
    denied=(),
    policies={"shop": []},
)


def seen(**changes: object) -> dict[str, Finding]:
    return {one.point: one for one in installed(replace(INSTALLED, **changes))}


def test_of_an_installation_that_is_well_all_is_well_and_windows_needs_no_agent() -> None:
    assert {one.state for one in seen().values()} == {State.OK}
    assert {one.state for one in vantages(INSTALLED, page())} == {State.OK}


def test_what_is_missing_or_old_is_wrong_with_what_to_do() -> None:
    absent, forbidden = Missing("no such", absent=True), Missing("you may not")
    for change, point, state in (
        ({"version": {"gitVersion": "v1.32.9"}}, "api", "wrong"),
        ({"may_ask": False}, "your rights", "wrong"),
        ({"deployment": absent}, "collector", "wrong"),
        ({"deployment": forbidden}, "collector", "unknown"),
        ({"deployment": {"spec": {"replicas": 2}}}, "collector", "wrong"),
        ({"denied": ("list nodes",)}, "its rights", "wrong"),
        ({"denied": ("list networkpolicies", "list nodes")}, "its rights", "wrong"),
        ({"denied": ("list networkpolicies", "watch networkpolicies")}, "its rights", "note"),
        ({"denied": forbidden}, "its rights", "unknown"),
        ({"daemonset": absent}, "agents", "wrong"),
        ({"nodes": forbidden}, "agents", "unknown"),
    ):
        points = seen(**change)
        assert points[point].state == state, change
        assert points[point].do
        assert [one.point for one in points.values() if one.state is not State.OK] == [point]


@pytest.mark.parametrize(
    ("status", "trouble", "cure"),
    [
        ({"reason": "SysctlForbidden", "message": "forbidden sysctl"}, "SysctlForbidden forbidden sysctl", "ping_group_range"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff", "push the image"),
        (
            {
                "containerStatuses": [
                    {
                        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                        "lastState": {"terminated": {"message": "a line\nconfig.yaml: plan.intervall: unknown key\n"}},
                    }
                ]
            },
            "CrashLoopBackOff: config.yaml: plan.intervall: unknown key",
            "correct the ConfigMap netmatrix",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]},
            "Unschedulable 0/1 nodes",
            "make room",
        ),
    ],
)
def test_why_a_pod_is_not_ready_is_in_its_status_and_has_a_cure(status: dict[str, object], trouble: str, cure: str) -> None:
    ill = pod("a", "agent") | {"status": {"conditions": [], **status}}
    assert trouble_of(ill) == trouble
    agents = seen(pods=[ill])["agents"]
    assert agents.said == f"1 of 1 nodes have no agent that is ready: n1: a: {trouble}"
    assert cure in agents.do


def test_pods_that_a_quota_keeps_from_being_made_are_explained_by_the_event_of_their_owner() -> None:
    event = {"involvedObject": {"kind": "DaemonSet", "name": "netmatrix-agent"}, "message": "exceeded quota: pods"}
    agents = seen(pods=[], events=[event])["agents"]
    assert agents.said.endswith("exceeded quota: pods")
    assert agents.do == "raise the quota of the namespace"


def of_vantages(*policies: dict[str, Any], state: str = "reporting") -> dict[str, Finding]:
    heard = replace(page(), agents=[{"vantage": "shop/v-0", "state": state}])
    return {one.point: one for one in vantages(replace(INSTALLED, policies={"shop": list(policies)}), heard)}


COLLECTOR = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}


def test_a_vantage_that_cannot_report_is_blocked_by_its_namespace_where_its_policies_say_so_and_only_there() -> None:
    blocked = of_vantages(policy("default-deny"), state="never")["vantages"]
    assert blocked.said.startswith("shop/v-0 cannot report: blocked by its namespace: its egress is isolated by default-deny")
    assert "components/vantage-egress" in blocked.do
    let_through = policy("netmatrix-vantage", egress=[{"to": [COLLECTOR], "ports": [{"port": "https-agents"}]}])
    other = of_vantages(policy("default-deny"), let_through, state="never")["vantages"]
    assert other.said == "shop/v-0 does not report"
    assert of_vantages(state="silent")["vantages"].said == "shop/v-0 does not report"
    assert of_vantages(policy("default-deny"))["vantages"].state is State.OK, "it reports, whatever we make of the policies"


def test_a_vantage_that_policies_of_another_kind_block_is_named_so_by_the_collector() -> None:
    said = page()
    assert isinstance(said.itself, dict)
    because = "blocked by its namespace: CiliumNetworkPolicy shop/deny"
    agents = said.itself["agents"] | {"blocked": {"count": 1, "names": [f"shop/v-0: {because}"]}}
    heard = replace(said, itself=said.itself | {"agents": agents}, agents=[{"vantage": "shop/v-0", "state": "never"}])
    found = {one.point: one for one in vantages(replace(INSTALLED, policies={"shop": []}), heard)}
    assert found["vantages"].said == f"shop/v-0 cannot report: {because}"


def test_vantage_egress_is_for_namespaces_that_isolate_egress_anyway() -> None:
    own = policy("netmatrix-vantage")
    assert of_vantages(own)["vantage-egress"].state is State.WRONG
    assert of_vantages(own, policy("default-deny"))["vantage-egress"].state is State.OK
    assert of_vantages()["vantage-egress"].said == "applied nowhere"


def test_a_vantage_in_a_namespace_that_does_not_ask_is_found_and_so_is_the_reverse() -> None:
    spaces = [space(NAMESPACE), space("shop"), space("pay", asks=True)]
    said = [one.said for one in vantages(replace(INSTALLED, namespaces=spaces), page()) if one.state is State.WRONG]
    assert said == [
        "namespace pay asks for a vantage and has none",
        "namespace shop has a vantage and does not ask for one, so that nobody takes notice of it",
    ]


def test_pairs_that_nothing_measures_are_listed_and_no_fault() -> None:
    unmeasured = {"pairs": 2, "from": some("pay"), "to": some("cart", "pay", "shop")}
    points = {one.point: one for one in vantages(INSTALLED, page(namespaces={"unmeasured": unmeasured}))}
    assert points["namespaces"].state is State.NOTE
    assert "from pay, each to the others of cart, pay, shop" in points["namespaces"].said


def test_names_from_the_cluster_cannot_write_to_the_terminal() -> None:
    lines = lines_of([Finding("agents", State.WRONG, "n1\x1b[2J\nn2", "do\u202e")], colour=False, width=100)
    assert all(character.isprintable() for line in lines.splitlines() for character in line)


def test_many_names_are_some_and_how_many_more() -> None:
    assert several("abcdefgh", most=3) == "a, b, c and 5 more"
    assert several(["a", "b"], count=40) == "a, b and 38 more"
    assert several(["a"]) == "a"


def test_without_a_collector_it_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--server", "http://127.0.0.1:1", "--timeout", "1"]) == 3
    assert capsys.readouterr().err.startswith("netmatrix: cannot reach http://127.0.0.1:1: ")

"""Our own NetworkPolicies let through what is measured and keep out what is not meant."""

import pytest

from collector.discovery.canary import CLOSED_PORT, OPEN_PORT
from tests.manifests.rendering import ADDED, INSTALLED, PATCHING, Object, container_of, rendered, the


def peers(rule: Object) -> list[str]:
    """Which components or programs, of any namespace, a rule lets in; empty for everybody."""
    found = []
    for peer in rule.get("from", ()):
        assert peer["namespaceSelector"] == {}
        selector = peer["podSelector"]
        found += [selector["matchLabels"]["app.kubernetes.io/name"]]
        found += [f"{name}" for one in selector.get("matchExpressions", ()) for name in one["values"]]
    return found


@pytest.mark.parametrize("name", INSTALLED)
def test_agents_and_vantages_of_any_namespace_reach_agents_by_every_protocol(name: str) -> None:
    """A rule that names ports cannot name ICMP."""
    policy = the(rendered(name), "NetworkPolicy", "netmatrix-agent")["spec"]
    among, anybody, scrape = policy["ingress"]
    assert peers(among) == ["netmatrix", "agent", "vantage"]
    assert "ports" not in among
    assert peers(anybody) == []
    assert {port["port"] for port in anybody["ports"]} == {"http-echo", "stamp"}
    assert peers(scrape) == ["prometheus"]
    assert {port["port"] for port in scrape["ports"]} == {"http-metrics"}


@pytest.mark.parametrize("name", INSTALLED)
def test_no_policy_of_an_installation_isolates_egress(name: str) -> None:
    policies = [one["spec"] for one in rendered(name) if one["kind"] == "NetworkPolicy"]
    assert [policy["policyTypes"] for policy in policies] == [["Ingress"]] * 2


def test_only_agents_and_vantages_reach_the_port_for_agents() -> None:
    agents, operators = the(rendered("base"), "NetworkPolicy", "netmatrix-collector")["spec"]["ingress"]
    assert peers(agents) == ["netmatrix", "agent", "vantage"]
    assert [port["port"] for port in agents["ports"]] == ["https-agents"]
    assert peers(operators) == []
    assert [port["port"] for port in operators["ports"]] == ["http-metrics"]


def test_the_pages_of_the_collector_can_be_kept_to_prometheus(tmp_path_factory: pytest.TempPathFactory) -> None:
    objects = rendered(PATCHING[0], tmp_path_factory.getbasetemp())
    agents, operators = the(objects, "NetworkPolicy", "netmatrix-collector")["spec"]["ingress"]
    assert peers(operators) == ["prometheus"]
    assert peers(agents) == ["netmatrix", "agent", "vantage"]


def test_a_vantage_comes_without_a_policy() -> None:
    assert "NetworkPolicy" not in {one["kind"] for one in rendered("components/vantage")}


def test_a_canary_is_closed_to_everybody_on_the_port_that_the_kubelet_asks_and_open_on_the_other() -> None:
    objects = rendered("components/canary")
    policy, pod = the(objects, "NetworkPolicy", "netmatrix-canary")["spec"], the(objects, "DaemonSet", "netmatrix-canary")
    assert policy["podSelector"]["matchLabels"].items() <= pod["spec"]["template"]["metadata"]["labels"].items()
    assert (policy["policyTypes"], policy["ingress"]) == (["Ingress"], [{"ports": [{"port": "open", "protocol": "TCP"}]}])
    container = container_of(pod)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"closed": CLOSED_PORT, "open": OPEN_PORT}
    assert container["readinessProbe"]["tcpSocket"] == {"port": "closed"}, "so the kubelet proves that somebody listens there"
    assert container["command"] == ["agent", "canary"]


def test_a_vantage_of_an_isolated_namespace_is_let_out_to_the_collector_and_to_nothing_else() -> None:
    (policy,) = rendered("components/vantage-egress")
    ((rule,), types) = policy["spec"]["egress"], policy["spec"]["policyTypes"]
    assert types == ["Egress"]
    (peer,) = rule["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "netmatrix"}
    collector = the(rendered("base"), "Deployment", "netmatrix-collector")["spec"]["template"]["metadata"]["labels"]
    assert peer["podSelector"]["matchLabels"].items() <= collector.items()
    assert [port["port"] for port in rule["ports"]] == ["https-agents"]


def test_agents_on_the_network_of_their_host_reach_the_collector() -> None:
    policies = [one for one in rendered(ADDED[0]) if one["kind"] == "NetworkPolicy"]
    assert [rule for policy in policies for rule in policy["spec"]["ingress"] if "from" not in rule]

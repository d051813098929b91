"""Agents that their own namespace keeps apart are told so, before anybody blames the network."""

from typing import Any

import pytest
from msgspec.structs import replace

from collector.cli.check.finding import Finding, Missing, State
from collector.cli.check.own_policies import own_policies
from collector.cli.check.seen import Page
from tests.collector.cli.test_check import INSTALLED, NAMESPACE, page, pod

PEERS = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "agent"}}}


def at(address: str, found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "status": {**found["status"], "podIPs": [{"ip": address}]}}


PODS = [at("10.0.0.1", pod("a-1", "agent")), at("10.0.0.2", pod("a-2", "agent")), at("10.0.0.3", pod("c", "collector"))]
SIX = [at(f"fd00::{number}", one) for number, one in enumerate(PODS, 1)]


def policy(name: str, **spec: object) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"podSelector": {}, **spec}}


def lost(*, received: int = 0) -> Page:
    """What two agents and the matrix say when next to nothing arrives."""
    agents = [{"vantage": "n1", "state": "reporting"}, {"vantage": "n2", "state": "reporting"}]
    layers = [{"from": name, "sent": 50, "received": received, "loss": 1.0} for name in ("pod", "host")]
    return replace(page(), agents=agents, layers=layers)


def found(*policies: dict[str, Any], pods: list[dict[str, Any]] = PODS, seen: Page | None = None) -> Finding:
    (one,) = own_policies(replace(INSTALLED, pods=pods, policies={NAMESPACE: list(policies)}), seen or page())
    return one


@pytest.mark.parametrize("pods", [PODS, SIX])
def test_survive_28_a_default_deny_is_named_with_what_it_keeps_apart(pods: list[dict[str, Any]]) -> None:
    egress = found(policy("default-deny", policyTypes=["Egress"]), pods=pods)
    assert egress.state is State.WRONG
    assert egress.said.startswith("agents may not reach each other: ")
    assert "agents may not reach the collector: " in egress.said
    assert "default-deny" in egress.said
    among = found(policy("closed", policyTypes=["Ingress"], ingress=[{"from": [PEERS]}]), pods=pods)
    assert among.state is State.OK
    to_peers = found(policy("narrow", policyTypes=["Egress"], egress=[{"to": [PEERS]}]), pods=pods)
    assert to_peers.said.startswith("agents may not reach the collector: ")


def test_survive_28_all_that_fails_from_all_agents_is_suspected_to_be_a_policy_that_we_cannot_see() -> None:
    assert found(seen=lost()).said.startswith("all targets fail from all agents, and no NetworkPolicy there is says so")
    assert found(seen=lost(received=1)).state is State.OK
    assert found(seen=replace(lost(), agents=[{"vantage": "n1", "state": "reporting"}])).state is State.OK
    assert found(seen=replace(lost(), layers=Missing("no"))).state is State.OK


def test_policies_that_may_not_be_looked_at_are_no_proof() -> None:
    (one,) = own_policies(replace(INSTALLED, policies={NAMESPACE: Missing("403")}), page())
    assert one.state is State.UNKNOWN

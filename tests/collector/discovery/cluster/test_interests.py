"""Which pods the API server is asked for besides our own."""

import json
from typing import Any

from collector.discovery.cluster.interests import expected_services, interests_in, is_wanted, label_selector, read
from collector.discovery.cluster.kept import Namespace, Pod, Service
from collector.discovery.cluster.pods import PODS
from collector.discovery.cluster.world import World
from collector.expectation.document import declared

SPACES = tuple(Namespace(name, vantages=False, labels={"team": team}) for name, team in (("a", "x"), ("b", "x"), ("c", "y")))


def expecting(*to: dict[str, Any], namespace: str = "a", **rest: Any) -> World:
    cluster = {"kind": "ClusterReachabilityExpectation", "metadata": {"name": "e"}}
    own = {"kind": "ReachabilityExpectation", "metadata": {"name": "e", "namespace": namespace}}
    document = {"apiVersion": "netmatrix.io/v1alpha1", "spec": {"to": list(to), "expect": "allow"}} | (
        own if namespace else cluster
    )
    return World(namespaces=SPACES, expectations=(declared(document),), **rest)


def asked(world: World, *owners: tuple[str, str]) -> dict[str, str]:
    """The label selector of each namespace."""
    return {name: label_selector(selectors) for name, selectors in interests_in(world, owners).of.items()}


def service(namespace: str, name: str, selector: dict[str, str]) -> Service:
    return Service(namespace, name, "u", "ClusterIP", (), (), "", (), local=False, probe="", dns=False, selector=selector)


def pod(**labels: str) -> Pod:
    return PODS.read(json.dumps({"metadata": {"name": "p", "namespace": "a", "labels": labels}}).encode())


def test_a_pod_selector_is_of_the_own_namespace_or_of_those_that_are_selected() -> None:
    database = {"podSelector": {"matchLabels": {"app": "db"}}}
    assert asked(expecting({"pods": database})) == {"a": "app=db"}
    teams = {"namespaceSelector": {"matchLabels": {"team": "x"}}, **database}
    assert asked(expecting({"pods": teams}, namespace="c")) == {"a": "app=db", "b": "app=db"}
    assert asked(expecting({"pods": database}, namespace="")) == {"a": "app=db", "b": "app=db", "c": "app=db"}


def test_expressions_are_written_as_the_api_takes_them() -> None:
    expressions = [
        {"key": "app", "operator": "In", "values": ["a", "b"]},
        {"key": "tier", "operator": "NotIn", "values": ["z"]},
        {"key": "k", "operator": "Exists"},
        {"key": "gone", "operator": "DoesNotExist"},
    ]
    world = expecting({"pods": {"podSelector": {"matchExpressions": expressions}}})
    assert asked(world) == {"a": "app in (a,b),tier notin (z),k,!gone"}


def test_of_several_selectors_in_a_namespace_all_pods_are_looked_at_and_those_of_any_are_wanted() -> None:
    world = expecting(*({"pods": {"podSelector": {"matchLabels": {"app": app}}}} for app in ("db", "web")))
    (selectors,) = interests_in(world, ()).of.values()
    assert label_selector(selectors) == ""
    wanted = [is_wanted(pod(app=app), read(selectors)) for app in ("db", "web", "other")]
    assert wanted == [True, True, False]


def test_the_pods_behind_a_service_are_those_that_it_selects_and_our_own_are_known_anyway() -> None:
    own = {"app.kubernetes.io/name": "netmatrix"}
    services = (service("a", "web", {"app": "web"}), service("b", "echo", own), service("c", "by-hand", {}))
    world = World(services=services)
    assert asked(world, ("a", "web"), ("b", "echo"), ("c", "by-hand"), ("c", "none")) == {"a": "app=web"}
    agent = pod(**own, **{"app.kubernetes.io/component": "agent"})
    assert not is_wanted(agent, read(interests_in(expecting({"pods": {}}), ()).of["a"]))


def test_a_service_that_an_expectation_names_is_looked_behind() -> None:
    world = expecting({"service": {"name": "web", "namespace": "b"}}, services=(service("b", "web", {"app": "web"}),))
    assert list(expected_services(world)) == [("b", "web")]
    assert asked(world) == {"b": "app=web"}


def test_of_a_workload_all_pods_of_its_namespace_are_asked_for_and_of_hosts_and_nodes_none() -> None:
    assert asked(expecting({"workload": {"kind": "Deployment", "name": "web"}})) == {"a": ""}
    assert asked(expecting({"host": {"name": "a.example"}}, {"nodes": {}}, namespace="")) == {}

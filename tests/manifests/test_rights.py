"""The manifests grant exactly what the code says that it uses."""

import pytest

from collector.discovery.cluster.rights import RIGHTS, Scope
from collector.identity.operators import GROUP
from collector.permission import Action
from tests.manifests.rendering import ALL, Object, name_of, rendered, rules, the


def used(scope: Scope) -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {(one.group, one.resource, verb, one.names) for one in RIGHTS if one.scope is scope for verb in one.verbs}


@pytest.mark.parametrize(
    ("scope", "folder", "kind", "name"),
    [
        (Scope.CLUSTER, "base", "ClusterRole", "netmatrix-collector"),
        (Scope.OWN, "base", "Role", "netmatrix-collector"),
        (Scope.VANTAGES, "base", "Role", "netmatrix-ca"),
        (Scope.VANTAGES, "components/vantage", "Role", "netmatrix-ca"),
        (Scope.VANTAGES, "components/host-network", "Role", "netmatrix-ca"),
    ],
)
def test_each_role_has_what_the_code_uses_and_no_more(scope: Scope, folder: str, kind: str, name: str) -> None:
    assert rules(rendered(folder), kind, name) == used(scope)


OPERATORS = {"netmatrix-operator", "netmatrix-actions"}
"""Roles of people, and of the ServiceAccount whose tokens they ask for."""


@pytest.mark.parametrize("folder", ["base", "components/vantage", "components/host-network"])
def test_each_role_is_bound_to_the_collector_alone(folder: str) -> None:
    objects = [one for one in rendered(folder) if one["metadata"]["name"] not in OPERATORS]
    bindings = [one for one in objects if one["kind"].endswith("RoleBinding")]
    roles = {name_of(one) for one in objects if one["kind"] in {"Role", "ClusterRole"}}
    assert {
        f"{one['roleRef']['kind']}/{one['metadata'].get('namespace', '-')}/{one['roleRef']['name']}" for one in bindings
    } == roles
    for binding in bindings:
        assert [(one["kind"], one["name"], one["namespace"]) for one in binding["subjects"]] == [
            ("ServiceAccount", "netmatrix-collector", "netmatrix")
        ]


def test_a_right_to_have_something_done_is_bound_to_nobody_but_an_account_that_no_pod_runs_as() -> None:
    objects = rendered("base")
    actions = {(GROUP, action.value, action.verb, ()) for action in Action}
    assert rules(objects, "Role", "netmatrix-actions") == actions
    assert actions < rules(objects, "ClusterRole", "netmatrix-operator")
    bindings = [one for one in objects if one["kind"].endswith("RoleBinding") and one["roleRef"]["name"] in OPERATORS]
    assert [(one["roleRef"]["name"], [subject["name"] for subject in one["subjects"]]) for one in bindings] == [
        ("netmatrix-actions", ["netmatrix-operator"])
    ]
    assert the(objects, "ServiceAccount", "netmatrix-operator")["automountServiceAccountToken"] is False
    pods = [one["spec"]["template"]["spec"] for one in objects if one["kind"] in {"DaemonSet", "Deployment"}]
    assert "netmatrix-operator" not in {pod["serviceAccountName"] for pod in pods}


def test_nothing_anywhere_gives_agents_or_vantages_a_right_beyond_the_user_that_they_run_as(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for name in ALL:
        objects = rendered(name, tmp_path_factory.getbasetemp())
        for binding in (one for one in objects if one["kind"].endswith("RoleBinding")):
            if any(subject["name"] in {"netmatrix-agent", "netmatrix-vantage", "default"} for subject in binding["subjects"]):
                assert verbs(objects, binding["roleRef"]["name"]) == {("securitycontextconstraints", "use")}


def verbs(objects: list[Object], role: str) -> set[tuple[str, str]]:
    return {(resource, verb) for _, resource, verb, _ in rules(objects, "Role", role)}


def test_no_right_is_a_wildcard() -> None:
    for name in ("ClusterRole", "Role"):
        for rule in the(rendered("base"), name, "netmatrix-collector")["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}

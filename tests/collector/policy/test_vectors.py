"""Vector files are run as their format says, and whatever policies are drawn, two readings of them agree."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import vectors
from tests.collector.policy.drawn import blocks, ends, labels, peers, protocols, selectors, spaces
from tests.collector.policy.naive import allowed

Object = dict[str, Any]

ports = st.one_of(
    st.fixed_dictionaries({}, optional={"protocol": st.sampled_from(["TCP", "UDP", "SCTP", None])}),
    st.fixed_dictionaries(
        {"port": st.sampled_from([53, 80, 81, "web", "dns"])}, optional={"protocol": st.sampled_from(["TCP", "UDP"])}
    ),
    st.fixed_dictionaries(
        {"port": st.sampled_from([1, 53, 80])},
        optional={"endPort": st.sampled_from([80, 81, 65535]), "protocol": st.sampled_from(["TCP", "UDP"])},
    ),
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """As people write it, or a null."""
    return strategy | st.none()


def rules_of(word: str) -> st.SearchStrategy[Any]:
    rule = st.fixed_dictionaries(
        {}, optional={word: maybe(st.lists(peers, max_size=2)), "ports": maybe(st.lists(ports, max_size=2))}
    )
    return maybe(st.lists(rule, max_size=2))


network_policies = st.builds(
    lambda space, spec: {"metadata": {"name": "p", "namespace": space}, "spec": spec},
    spaces,
    st.fixed_dictionaries(
        {},
        optional={
            "podSelector": maybe(selectors),
            "policyTypes": maybe(st.lists(st.sampled_from(["Ingress", "Egress"]), max_size=2, unique=True)),
            "ingress": rules_of("from"),
            "egress": rules_of("to"),
        },
    ),
)


def ranked_rules(word: str, peer: st.SearchStrategy[Object]) -> st.SearchStrategy[Any]:
    rule = st.fixed_dictionaries(
        {"action": st.sampled_from(["Accept", "Deny", "Pass"]), word: st.lists(peer, min_size=1, max_size=2)},
        optional={"protocols": st.lists(protocols, min_size=1, max_size=2)},
    )
    return maybe(st.lists(rule, max_size=3))


def named(spec: Any) -> Object:
    """Of one name there is one, so that no two of equal priority contradict each other."""
    return {"metadata": {"name": f"{spec['tier']}-{spec['priority']}"}, "spec": spec}


cluster_policies = st.fixed_dictionaries(
    {"tier": st.sampled_from(["Admin", "Baseline"]), "priority": st.integers(0, 1000), "subject": ends},
    optional={
        "ingress": ranked_rules("from", ends),
        "egress": ranked_rules("to", ends | blocks.map(lambda cidr: {"networks": [cidr]})),
    },
).map(named)
container_ports = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["web", "dns", ""]),
            "port": st.sampled_from([53, 80, 81]),
            "protocol": st.sampled_from(["TCP", "UDP"]),
        }
    ),
    max_size=2,
)


@st.composite
def steps(draw: st.DrawFn) -> tuple[list[Object], Object]:
    """Pods, and a step without checks."""
    found = {name: draw(labels) | {"kubernetes.io/metadata.name": name} for name in ("x", "y", "z")}
    pods = [
        {
            "id": f"{space}/p{place}",
            "namespace": space,
            "namespaceLabels": found[space],
            "labels": draw(labels),
            "ips": [f"10.0.0.{place + 1}"] if draw(st.booleans()) else [f"10.0.0.{place + 1}", f"fd00::{place + 1}"],
            "ports": draw(container_ports),
        }
        for place in range(3)
        for space in [draw(spaces)]
    ]
    step = {
        "namespaces": {name: {key: value for key, value in of.items() if key in {"a", "b"}} for name, of in found.items()},
        "networkPolicies": draw(st.lists(network_policies, max_size=4)),
        "clusterPolicies": draw(st.lists(cluster_policies, max_size=3, unique_by=lambda one: one["metadata"]["name"])),
    }
    return pods, step


@settings(deadline=None, max_examples=200)
@given(drawn=steps(), protocol=st.sampled_from(["TCP", "UDP", "SCTP"]), port=st.sampled_from([53, 80, 81]))
def test_two_readings_of_the_same_policies_agree(drawn: tuple[list[Object], Object], protocol: str, port: int) -> None:
    pods, step = drawn
    plain = [{**pod, "ips": pod["ips"][:1]} for pod in pods]
    matrix = [
        [source["id"], target["id"], allowed(step, source, target, protocol, port)]
        for source in plain
        for target in plain
        if source is not target
    ]
    case = {
        "id": "drawn",
        "pods": pods,
        "steps": [{**step, "checks": [{"protocol": protocol, "port": port, "matrix": matrix}]}],
    }
    assert [sentence for holds, sentence in vectors.checks(case) if not holds] == []


PODS = [
    {"id": "x/a", "namespace": "x", "labels": {"app": "a"}, "ips": ["10.0.0.1"]},
    {
        "id": "y/b",
        "namespace": "y",
        "labels": None,
        "ips": ["10.0.0.2"],
        "ports": [{"name": "web", "port": 80}, {"name": "web", "port": 81, "protocol": "UDP"}],
    },
]


def mismatches(step: Object, *, semantics: Object | None = None) -> int:
    case = {"id": "c", "pods": PODS, "steps": [step], "semantics": semantics or {}}
    return sum(not holds for holds, _ in vectors.checks(case))


def test_a_check_may_lack_a_protocol_and_name_a_port_of_the_target() -> None:
    web = {"metadata": {"name": "p", "namespace": "y"}, "spec": {"ingress": [{"ports": [{"port": "web"}]}]}}
    step = {"networkPolicies": [web], "clusterPolicies": None, "namespaces": None}
    open_ = {**step, "checks": [{"port": "web", "matrix": [["x/a", "y/b", True]]}]}
    closed = {**step, "checks": [{"port": "web", "protocol": "UDP", "matrix": [["x/a", "y/b", False]]}]}
    assert mismatches(open_) == mismatches(closed) == 0


def test_whether_blocks_match_pods_is_said_by_the_case_and_pods_and_labels_by_the_step() -> None:
    block = {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    policy = {"metadata": {"name": "p", "namespace": "y"}, "spec": {"ingress": [block]}}
    step = {"networkPolicies": [policy], "checks": [{"matrix": [["x/a", "y/b", True]]}]}
    assert [mismatches(step), mismatches(step, semantics={"ipBlockMatchesPods": False})] == [0, 1]
    selecting = {**policy, "spec": {"podSelector": {"matchLabels": {"app": "b"}}}}
    relabelled = {**step, "networkPolicies": [selecting], "podLabels": {"y/b": {"app": "b"}}}
    assert mismatches(relabelled) == 1


def test_a_mismatch_is_said_with_what_decided_and_fails(tmp_path: Path, capsys: Any) -> None:
    policy = {"metadata": {"name": "p", "namespace": "y"}, "spec": {}}
    step = {"networkPolicies": [policy], "checks": [{"port": 80, "matrix": [["x/a", "y/b", True], ["y/b", "x/a", True]]}]}
    file = tmp_path / "v.json"
    file.write_text(json.dumps([{"id": "c", "pods": PODS, "steps": [step]}]))
    assert vectors.main([str(file)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(
        "c step 0: x/a to y/b TCP 80: allow expected, deny: ingress: no rule of NetworkPolicy y/p allows it"
    )
    assert said[1] == "2 checks, 1 mismatches"

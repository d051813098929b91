from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.manifests.pod_security import violations
from tests.manifests.rendering import ALL, name_of, rendered, workloads

GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "c", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}},
    ],
}
HOST_NETWORK = ["hostNetwork is set", "agent: a host port is taken"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("hostNetwork",), True, "hostNetwork is set"),
        (("volumes",), [{"name": "v", "hostPath": {"path": "/"}}], "volume v is a hostPath"),
        (
            ("securityContext", "sysctls"),
            [{"name": "net.core.somaxconn", "value": "1"}],
            "sysctl net.core.somaxconn is not a safe one",
        ),
        (("securityContext", "runAsNonRoot"), False, "c: runAsNonRoot is not true"),
        (("securityContext", "runAsUser"), 0, "c: runAsUser is 0"),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "c: no seccomp profile"),
        (("containers", 0, "securityContext", "privileged"), True, "c: privileged"),
        (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True, "c: allowPrivilegeEscalation is not false"),
        (("containers", 0, "securityContext", "capabilities"), {"drop": ["NET_RAW"]}, "c: not all capabilities are dropped"),
        (
            ("containers", 0, "securityContext", "capabilities"),
            {"drop": ["ALL"], "add": ["NET_RAW"]},
            "c: capabilities are added",
        ),
        (("containers", 0, "ports"), [{"containerPort": 1, "hostPort": 1}], "c: a host port is taken"),
    ],
)
def test_a_pod_that_is_not_restricted_is_told_by_the_field(path: tuple[str | int, ...], value: object, sentence: str) -> None:
    pod: Any = deepcopy(GOOD)
    assert violations(pod) == []
    place = pod
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert violations(pod) == [sentence]


@pytest.mark.parametrize("name", ALL)
def test_every_pod_is_restricted_but_for_the_network_of_those_on_the_hosts(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = {
        name_of(one): violations(one["spec"]["template"]["spec"])
        for one in workloads(rendered(name, scratch(tmp_path_factory)))
    }
    assert {where: said for where, said in found.items() if said} == (
        {"DaemonSet/netmatrix-host/netmatrix-vantage": HOST_NETWORK} if name == "components/host-network" else {}
    )


def scratch(factory: pytest.TempPathFactory) -> Path:
    return factory.getbasetemp()

"""Which network plugin it is, from what its pods and nodes are called."""

from typing import cast

import pytest

from collector.discovery.cluster.client import Answer, Api, ApiAwayError
from collector.discovery.cluster.kept import Node
from collector.discovery.cluster.network_plugin import AGAIN_SECONDS, PLUGINS, NetworkPlugin, chosen
from collector.policy.profile import PROFILES

K3S = Node("n1", "", (), cordoned=False, ready=True, labels={"node.kubernetes.io/instance-type": "k3s"})


@pytest.mark.parametrize(
    ("found", "nodes", "name"),
    [
        ([], [], "generic"),
        (["calico"], [], "calico"),
        (["cilium"], [K3S], "cilium"),
        (["calico", "none"], [], "calico"),
        (["cilium", "kube-router"], [], "cilium"),
        (["calico", "cilium"], [], "generic"),
        (["kube-network-policies"], [], "kube-network-policies"),
        (["kube-network-policies", "calico"], [], "calico"),
        (["none"], [], "none"),
        (["none", "kube-router"], [], "kube-router"),
        ([], [K3S], "kube-router"),
        (["none"], [K3S], "kube-router"),
    ],
)
def test_one_that_enforces_counts_and_of_two_nobody_knows(found: list[str], nodes: list[Node], name: str) -> None:
    assert chosen(found, nodes) == name


def test_every_plugin_that_is_looked_for_is_one_that_something_is_known_of() -> None:
    assert PLUGINS.keys() <= PROFILES.keys()


class EnoughError(Exception):
    """Nothing more is slept."""


async def test_where_nothing_is_found_it_is_looked_for_more_and_more_seldom_and_soon_where_nobody_answered() -> None:
    answers, slept = ["none", "none", "away", "none", "none"], list[float]()

    class Server:
        async def ask(self, _method: str, _path: str, _query: object) -> Answer:
            if answers[0] == "away":
                raise ApiAwayError("away")
            return Answer(200, b'{"items": []}')

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        answers.pop(0)
        if not answers:
            raise EnoughError

    plugin = NetworkPlugin(cast("Api", Server()), changed=lambda: None, sleep=sleep)
    with pytest.raises(EnoughError):
        await plugin.follow()
    assert slept == [AGAIN_SECONDS, 2 * AGAIN_SECONDS, AGAIN_SECONDS, 4 * AGAIN_SECONDS, 8 * AGAIN_SECONDS]

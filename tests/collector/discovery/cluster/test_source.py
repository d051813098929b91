"""A source yields whole snapshots, and the last good one stays."""

import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec.structs import replace

from collector.discovery.cluster.kept import Endpoint, Namespace, Node, Pod, Service, ServicePort, Slice, SlicePort
from collector.discovery.cluster.source import ClusterSource
from collector.document import BadFileError
from collector.settings import DiscoverySettings, Settings, parse_settings

NODE = Node("n1", "za", ("192.0.2.1",), cordoned=False, ready=True)

BEHIND = Endpoint("10.244.0.7", ready=True, node="n1", pod="cart-0")


def agent(**changed: Any) -> Pod:
    now = time.time()
    pod = Pod(
        namespace="netmatrix",
        name="agent-1",
        uid="u1",
        component="agent",
        node="n1",
        addresses=("10.244.0.1",),
        host_network=False,
        ready=True,
        ready_since=now - 3600,
        created=now - 3600,
        terminating=False,
        ended=False,
        port=0,
        networks="",
    )
    return replace(pod, **changed)


def filled(*pods: Pod, settings: Settings | None = None) -> ClusterSource:
    """A source whose lists have come."""
    source = ClusterSource(settings or Settings(), kubeconfig=Path("nowhere"))
    for follower in source._watches._needed:
        follower.listed = True
    source._watches.nodes.objects = {("", "n1"): NODE}
    source._watches.namespaces.objects = {("", "netmatrix"): Namespace("netmatrix", vantages=False)}
    source._watches.pods.objects = {(pod.namespace, pod.name): pod for pod in pods}
    return source


async def test_there_is_no_snapshot_until_every_list_has_come() -> None:
    source = filled(agent())
    for follower in source._watches._needed:
        follower.listed = False
        assert not await source.changed()
        assert (source.ready, source.snapshot.nodes) == (False, ())
        follower.listed = True
    assert await source.changed()
    assert source.ready
    assert [one.name for one in source.snapshot.vantages] == ["n1"]


async def test_an_empty_cluster_is_one_too() -> None:
    source = filled()
    source._watches.nodes.objects.clear()
    assert await source.changed()
    assert source.ready


async def test_what_changes_nothing_in_the_snapshot_is_no_other_snapshot() -> None:
    source = filled(agent())
    assert await source.changed()
    assert not await source.changed()
    source._note()
    assert not await source.changed()
    source._watches.pods.objects = {}
    source._note()
    assert await source.changed()


async def test_endpoints_of_services_that_nobody_probes_are_no_reason_to_look() -> None:
    source = filled(agent())
    probed = Service("shop", "cart", "u", "ClusterIP", ("10.96.0.9",), (ServicePort(80),), "", (), False, "tcp", False)
    source._watches.services.objects = {("shop", "cart"): probed}
    assert await source.changed()
    for name, looks in (("other", False), ("cart", True)):
        source._watches.slices.objects[name, name] = Slice("shop", f"{name}-1", name, "IPv4", (SlicePort("", 80),), (BEHIND,))
        source._note_slice(None, source._watches.slices.objects[name, name])
        assert source._dirty is looks
    assert await source.changed()
    assert source.snapshot.services[0].endpoints == 1


async def test_one_that_settles_is_another_snapshot_when_it_has_though_nobody_said_a_word() -> None:
    source = filled(agent(ready_since=time.time() - 14.9))
    assert await source.changed()
    assert {one.excluded for one in source.snapshot.vantages} == {"settling"}
    source._settled = 0.0
    source._watches.pods.objects = {("netmatrix", "agent-1"): agent()}
    assert await source.changed()
    assert {one.excluded for one in source.snapshot.vantages} == {""}


async def test_survive_54_what_is_left_out_is_said_once_and_counted_while_it_lasts() -> None:
    source = filled(agent(namespace="alien"))
    with structlog.testing.capture_logs() as lines:
        await source.changed()
        source._note()
        await source.changed()
        assert source.refused()["namespace"] == 1
        source._watches.pods.objects = {}
        source._note()
        await source.changed()
    assert [line["object"] for line in lines if line["event"] == "left out"] == ["alien/agent-1"]
    assert set(source.refused().values()) == {0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("discovery: {settling: 11m}", "c: discovery: settling must be 0s to 10m, not 11m"),
        ("discovery: {mtu: 500}", "c: discovery: mtu 500 is less than the 576 bytes that every host takes"),
        ("discovery: {external_name: example.com}", "c: discovery.external_name: example.com has characters or a form"),
    ],
)
def test_a_wrong_setting_of_discovery_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadFileError) as refusal:
        parse_settings(text, name="c")
    assert str(refusal.value).startswith(sentence)


def test_the_defaults_are_those_of_a_plain_installation() -> None:
    assert DiscoverySettings().namespace == "netmatrix"


async def test_policies_are_read_when_every_kind_is_known_or_known_not_to_exist() -> None:
    source = filled(agent())
    assert await source.changed()
    assert not source.snapshot.policies_read
    for place, follower in enumerate(source._watches.policies):
        follower.listed, follower.absent = place % 2 == 0, place % 2 == 1
    source._note()
    assert await source.changed()
    assert source.snapshot.policies_read
    source._watches.policies[0].denied = True
    source._note()
    assert await source.changed()
    assert not source.snapshot.policies_read


async def test_what_need_not_be_there_and_does_not_answer_makes_nothing_old_unless_it_was_known() -> None:
    source = filled(agent())
    policies = source._watches.policies[-1]
    policies.heard -= 1000.0
    assert source.sync_age_seconds() < 100.0
    policies.listed = True
    assert source.sync_age_seconds() > 900.0
    policies.denied = True
    assert source.sync_age_seconds() < 100.0

"""The pods that are none of ours, and what is behind services, as policies see them. Pure."""

from collections.abc import Collection, Iterator
from typing import cast

from collector.discovery.backed import Backed, Backend, ServicePort
from collector.discovery.cluster import kept
from collector.discovery.cluster.addresses import usable
from collector.discovery.cluster.endpoints import Owner, behind, slices_of
from collector.discovery.cluster.metadata import fit
from collector.discovery.cluster.pods import PROTOCOLS, Protocol
from collector.discovery.cluster.world import World
from collector.discovery.snapshot import Pod

MAX_BACKENDS = 256
"""Most endpoints of a service that are looked at: whichever come first in an order that favours nobody."""
MAX_PORTS = 64


def pods_in(world: World) -> Iterator[Pod]:
    """The pods that anybody asks for, in the order of their names; one without an address, or that has ended, is nobody."""
    ours = {(one.namespace, one.name) for one in world.pods}
    for one in sorted(world.others, key=lambda one: (one.namespace, one.name)):
        addresses, _ = usable(one.addresses)
        if one.ended or not addresses or (one.namespace, one.name) in ours:
            continue
        yield seen(one, addresses)


def seen(pod: kept.Pod, addresses: tuple[str, ...]) -> Pod:
    """A pod of the cluster, with those of its addresses that can be used."""
    return Pod(
        namespace=pod.namespace,
        name=pod.name,
        addresses=addresses,
        node=pod.node,
        labels=pod.labels,
        ports=pod.ports,
        uid=pod.uid,
        host_network=pod.host_network,
        ready=pod.ready and not pod.terminating,
        probed_ports=pod.probed_ports,
        annotations=pod.annotations,
    )


def backed_in(world: World, owners: Collection[Owner]) -> Iterator[Backed]:
    """What is behind these services, in the order of their names; nothing of one that does not exist."""
    slices = slices_of(owners, world.slices)
    for one in sorted(world.services, key=lambda one: (one.namespace, one.name)):
        owner = one.namespace, one.name
        if owner not in slices:
            continue
        pods = {endpoint.pod for part in slices[owner] for endpoint in part.endpoints if endpoint.pod}
        backends = []
        for port in one.ports:
            found = behind(slices[owner], port.name, protocol=port.protocol, link_local=True)
            for place in found.places[:MAX_BACKENDS]:
                pod = fit(place.name) if place.name in pods else ""
                backends.append(Backend(tuple(place.addresses), port.port, place.port, pod))
        yield Backed(
            namespace=one.namespace,
            name=one.name,
            addresses=usable(one.addresses)[0],
            ports=tuple(
                ServicePort(port.port, cast("Protocol", port.protocol), fit(port.name))
                for port in one.ports[:MAX_PORTS]
                if port.protocol in PROTOCOLS
            ),
            backends=tuple(backends),
        )

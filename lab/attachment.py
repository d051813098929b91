"""Interfaces of pods on further networks, and every name and address of them. Pure.

The n-th network after the default one has `netN`, 10.(30+N).NODE.PLACE and fd(31+N):NODE::PLACE.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.shape import Shape
from wire.path import Family


@dataclass(frozen=True, slots=True)
class Attachment:
    """A pod's interface on a further network, which is one Ethernet segment through all nodes."""

    network: str
    device: str
    """Its name inside of the pod, which also the network's bridges have."""
    interface: str
    """Name of its port on the node's bridge."""
    mac: str
    addresses: Mapping[Family, str]
    prefixes: Mapping[Family, str]
    """The whole network."""


def device(shape: Shape, network: str) -> str:
    """What the interfaces and bridges of a further network are called, such as `net1`."""
    return f"net{shape.networks.index(network)}"


def attachments(shape: Shape, node: int, place: int) -> tuple[Attachment, ...]:
    """Those of the pod with a number on a node."""
    return tuple(_attachment(shape, number, node, place) for number in range(1, len(shape.networks)))


def _attachment(shape: Shape, number: int, node: int, place: int) -> Attachment:
    addresses = {
        Family.IPV4: f"10.{30 + number}.{node}.{place}",
        Family.IPV6: f"fd{0x31 + number:x}:{node:x}::{place:x}",
    }
    prefixes = {Family.IPV4: f"10.{30 + number}.0.0/16", Family.IPV6: f"fd{0x31 + number:x}::/16"}
    return Attachment(
        network=shape.networks[number],
        device=f"net{number}",
        interface=f"pod{place}_net{number}",
        mac=f"02:6e:6d:{0x78 + number:02x}:{node:02x}:{place:02x}",
        addresses={family: addresses[family] for family in shape.families},
        prefixes={family: prefixes[family] for family in shape.families},
    )

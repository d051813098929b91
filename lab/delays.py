"""Puts a relay in front of a node's port and takes it away again, without losing a packet of what is on its way."""

import os
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lab import cgroups, namespaces
from lab.faults import RELAYED, Delay, Fault
from lab.network import BRIDGE
from lab.programs import start_module
from lab.rules import fabric_rules, relay_tap
from lab.tampering import Throttle
from lab.topology import Topology

_RELAY = "lab.relay"
_TUN = "/dev/net/tun"
_PATIENCE = 10.0
_MARGIN = 0.02


def load_fabric(topology: Topology, before: Sequence[Fault], after: Sequence[Fault], log: Path) -> None:
    """Load the underlay's rules for `after`, and start and stop relays for what differs from `before`."""
    old, wanted = relays(topology, before), relays(topology, after)
    stale = [name for name in old if old[name] != wanted.get(name)]
    fresh = [name for name in wanted if wanted[name] != old.get(name)]
    fabric = topology.fabric_netns
    if stale:
        ports = [topology.node[name].port for name in stale]
        kept = [fault for fault in after if not isinstance(fault, RELAYED) or not (set(relays(topology, [fault])) & set(stale))]
        # While both are ports of the bridge, it learns from the first packet where the node is.
        namespaces.run_batch("\n".join(f"link set {port} master {BRIDGE}" for port in ports), fabric)
        namespaces.load_rules(fabric, fabric_rules(topology, kept))
        time.sleep(max(fault.ms for fault in before if isinstance(fault, RELAYED)) / 1000 + _MARGIN)
        namespaces.end_processes([fabric], where=lambda pid: _relay_port(pid) in ports)
    for name in fresh:
        node = topology.node[name]
        start_module(fabric, log, _RELAY, node.port, relay_tap(node), node.mac, *wanted[name])
    for name in fresh:
        tap = relay_tap(topology.node[name])
        _wait_for(fabric, tap)
        namespaces.run_batch(f"link set {tap} txqueuelen 10000\nlink set {tap} up\nlink set {tap} master {BRIDGE}", fabric)
    namespaces.load_rules(fabric, fabric_rules(topology, after))
    if fresh:
        namespaces.run_batch("\n".join(f"link set {topology.node[name].port} nomaster" for name in fresh), fabric)


def lacking(topology: Topology, faults: Sequence[Fault]) -> str:
    """Why some of the faults cannot be made on this machine, in one sentence; empty where all can."""
    if relays(topology, faults) and not os.access(_TUN, os.R_OK | os.W_OK):
        return f"it takes {_TUN} to delay packets or to tamper with them, which is not there or not this user's to open"
    if any(isinstance(fault, Throttle) for fault in faults) and cgroups.root() is None:
        return "it takes a control group of one's own to limit an agent's CPU time, and this machine lets us make none"
    return ""


def relays(topology: Topology, faults: Sequence[Fault]) -> dict[str, list[str]]:
    """Arguments of the relay that each node needs, by node."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for fault in faults:
        if isinstance(fault, RELAYED):
            how = "delay" if isinstance(fault, Delay) else fault.how
            for node, direction, peer in fault.links(topology):
                wanted[node.name].append(f"{direction}:{peer.mac if peer else '*'}:{how}:{round(fault.ms * 1e6)}")
    return dict(wanted)


def _relay_port(pid: int) -> str:
    command = namespaces.command_of(pid)
    return command[command.index(_RELAY) + 1] if _RELAY in command[:-1] else ""


def _wait_for(netns: str, interface: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            namespaces.call_inside(netns, lambda: socket.if_nametoindex(interface))
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no relay at {interface} after {_PATIENCE:g} s") from None
            time.sleep(_MARGIN)
        else:
            return

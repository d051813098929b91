"""A whole lab: network, programs, faults, and the count of every packet that it drops."""

import asyncio
import secrets
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import structs

from lab import cgroups, conntrack, enforcement, firewall, links, namespaces, network, rootless, state
from lab.delays import load_fabric
from lab.departure import Standing, departed, standing
from lab.doorway import Doorway
from lab.drops import DropLog
from lab.faults import AgentRestart, CpuHogs, Fault, KillCollector, behaviour, check
from lab.policies import Document
from lab.programs import Programs, end_hogs, start_hogs
from lab.roles import OPERATOR_PORT
from lab.rules import node_rules
from lab.shape import Shape
from lab.tampering import Stranger
from lab.topology import Pod, Topology
from lab.wanted import Wanted, wanted

_GRACE_SECONDS = 30.0
"""What Kubernetes grants a pod between SIGTERM and SIGKILL unless told otherwise."""


class Cluster:
    """A lab that this process has built, or that it attached to by name.

    `plan` goes into the collector's configuration as it is, such as `{"interval": "1s", "timeout": "500ms", "report": "1s"}`.
    `port` is where the collector's operator port is reachable on 127.0.0.1; 0 takes any free one. Policies are in force, and
    with the expectations in the collector's inventory, from the start.
    """

    def __init__(
        self,
        shape: Shape,
        name: str,
        plan: Mapping[str, object] | None = None,
        *,
        port: int = 0,
        policies: Sequence[Document] = (),
        expectations: Sequence[Document] = (),
    ) -> None:
        self.topology = Topology.of(shape, name)
        self.drops = DropLog(self.topology)
        self._state = state.State(
            name,
            shape,
            dict(plan or {}),
            port,
            enforced=tuple(policies),
            told=tuple(policies),
            expectations=tuple(expectations),
        )
        self._programs = Programs(self.topology, self.directory)
        collector = next(iter(self.topology.collector.addresses.values()))
        self.doorway = Doorway(self.topology.collector.netns, (collector, OPERATOR_PORT), port=port)
        self._one_at_a_time = threading.Lock()

    @classmethod
    def attach(cls, name: str) -> "Cluster":
        """A lab that another process built; raises LookupError where there is none of that name. Its drops are not counted."""
        found = state.load(name)
        cluster = cls(found.shape, name, found.plan, port=found.port)
        cluster._state = found
        return cluster

    @property
    def api_url(self) -> str:
        """Base URL of the collector's operator port, such as `http://127.0.0.1:40123`."""
        return f"http://127.0.0.1:{self._state.port}"

    @property
    def directory(self) -> Path:
        """Where logs, keys and the state file are."""
        return state.directory(self.topology.lab)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Active faults."""
        return self._state.faults

    async def up(self) -> None:
        """Build the network, start every program, open the doorway and count drops from here on.

        Raises FileExistsError where there is a lab of this name, RuntimeError or TimeoutError, with what a program said, where
        something does not start; then `down` removes what was made.
        """
        if namespaces.existing(self.topology.lab):
            raise FileExistsError(f"there is a lab {self.topology.lab!r} already")
        await asyncio.to_thread(self._build)
        await self.doorway.open(*rootless.doors())
        self._state = structs.replace(self._state, port=self.doorway.port)
        state.save(self._state)
        await asyncio.to_thread(self._programs.start_all)

    async def leave(self) -> None:
        """Close the doorway and stop counting drops; the lab runs on without this process."""
        await self.doorway.close()
        await asyncio.to_thread(self.drops.close)

    async def down(self) -> None:
        """Close the doorway, end every program in the lab and remove it. Safe to call twice and after a failed `up`."""
        await self.doorway.close()
        await asyncio.to_thread(self._demolish)

    async def apply(self, fault: Fault) -> None:
        """Break something; it is written down before it is done. Raises ValueError where the lab has no such thing."""
        check(fault, self.topology)
        await asyncio.to_thread(self._apply, fault)

    async def clear(self, fault: Fault | None = None) -> None:
        """Undo one fault, or all. One that is not active is no error."""
        await asyncio.to_thread(self._clear, fault)

    @property
    def policies(self) -> tuple[Document, ...]:
        """Those that the nodes enforce."""
        return self._state.enforced

    @property
    def told(self) -> tuple[Document, ...]:
        """Those that the collector's inventory has."""
        return self._state.told

    async def enforce(self, policies: Sequence[Document]) -> None:
        """Have the nodes enforce these policies and no others; raises ValueError where one is none."""
        await asyncio.to_thread(self._enforce, tuple(policies))

    async def tell(self, policies: Sequence[Document]) -> None:
        """Have the collector's inventory say that these policies are in force."""
        await asyncio.to_thread(self._tell, tuple(policies))

    def _enforce(self, policies: tuple[Document, ...]) -> None:
        with self._one_at_a_time:
            self._refresh()
            enforcement.load(self.topology, self._state.enforced, policies)
            self._state = structs.replace(self._state, enforced=policies)
            state.save(self._state)

    def _tell(self, policies: tuple[Document, ...]) -> None:
        with self._one_at_a_time:
            self._refresh()
            self._state = structs.replace(self._state, told=policies)
            self._write_inventory(standing(self.topology, self._state.faults))
            state.save(self._state)

    def _refresh(self) -> None:
        """Another process may have changed the lab meanwhile."""
        self._state = state.load(self.topology.lab)

    def _build(self) -> None:
        with self._one_at_a_time:
            state.save(self._state)
            network.build(self.topology)
            enforcement.load(self.topology, (), self._state.enforced)
            self.drops.open()
            keys = {pod.vantage: secrets.token_hex(32) for pod in self.topology.vantages}
            self._programs.write_files(keys, self._state.plan)
            self._write_inventory(Standing())

    def _demolish(self) -> None:
        with self._one_at_a_time:
            self.drops.close()
            demolish(self.topology.lab)

    def _apply(self, fault: Fault) -> None:
        with self._one_at_a_time:
            if isinstance(fault, AgentRestart):
                self._restart(self.topology.agent_on(fault.node), signal.Signals[f"SIG{fault.signal}"])
                return
            self._refresh()
            before = self._state.faults
            self._state = self._state.with_faults((*before, fault))
            state.save(self._state)
            self._change(before, self._state.faults)

    def _clear(self, fault: Fault | None = None) -> None:
        with self._one_at_a_time:
            self._refresh()
            before = self._state.faults
            left = list(before) if fault else []
            if fault in left:
                left.remove(fault)
            self._change(before, tuple(left))
            self._state = self._state.with_faults(tuple(left))
            state.save(self._state)

    def _change(self, before: tuple[Fault, ...], after: tuple[Fault, ...]) -> None:
        """From the lab as it is with some faults to the lab as it is with others. Doing it twice is harmless."""
        links.load(self.topology, before, after)
        load_fabric(self.topology, before, after, self.directory / "logs" / "relay.log")
        firewall.load(self.topology, before, after)
        for node in self.topology.nodes:
            rules = node_rules(self.topology, node, after)
            if rules != node_rules(self.topology, node, before):
                namespaces.load_rules(node.netns, rules)
                conntrack.flush(node.netns)
        if behaviour(before) != behaviour(after):
            self._programs.tell_name_server(behaviour(after))
        self._disturb(before, after)
        if departed(before) != departed(after):
            self._write_inventory(standing(self.topology, (*before, *after), leaving=True))
        for pod in self.topology.pods:
            was, now = wanted(pod, before), wanted(pod, after)
            if was != now:
                self._bring(pod, was, now)
        if departed(before) != departed(after):
            self._programs.wait_until_listening([pod for pod in self.topology.vantages if wanted(pod, after).running])
            self._write_inventory(standing(self.topology, after))
        for fault in after:
            if isinstance(fault, KillCollector) and fault not in before and fault.restart_after is not None:
                self._programs.start(self.topology.collector, after=max(fault.restart_after, 0.001))

    def _disturb(self, before: tuple[Fault, ...], after: tuple[Fault, ...]) -> None:
        """Programs of the lab's own that harm the others."""
        hogs = [sum(fault.count for fault in faults if isinstance(fault, CpuHogs)) for faults in (before, after)]
        if hogs[0] != hogs[1]:
            end_hogs(self.topology.fabric_netns)
            start_hogs(self.topology.fabric_netns, hogs[1])
        strangers = [[fault for fault in faults if isinstance(fault, Stranger)] for faults in (before, after)]
        if strangers[0] != strangers[1]:
            self._programs.end_strangers()
            for fault in strangers[1]:
                self._programs.start_stranger(self.topology.agent_on(fault.to), fault.packets_per_second)

    def _bring(self, pod: Pod, was: Wanted, now: Wanted) -> None:
        if not now.running:
            if now.gently:
                self._programs.send_signal(pod, signal.SIGTERM)
                namespaces.await_end(pod.netns, patience=_GRACE_SECONDS)
            self._programs.end([pod])
            return
        if was.uid != now.uid:
            self._programs.end([pod])
        self._programs.ensure(pod, uid=now.uid or None)
        if was.stopped != now.stopped:
            self._programs.send_signal(pod, signal.SIGSTOP if now.stopped else signal.SIGCONT)
        if was.percent != now.percent:
            cgroups.limit(pod, now.percent)

    def _restart(self, pod: Pod, number: signal.Signals) -> None:
        now = wanted(pod, self._state.faults)
        if not now.running:
            return
        if number is not signal.SIGKILL:
            self._write_inventory(Standing(excluded={pod.vantage: "terminating"}))
            self._programs.send_signal(pod, number)
            namespaces.await_end(pod.netns, patience=_GRACE_SECONDS)
        self._programs.end([pod])
        self._programs.start(pod, uid=now.uid or None)
        if number is not signal.SIGKILL:
            self._programs.wait_until_listening([pod])
            self._write_inventory(standing(self.topology, self._state.faults))

    def _write_inventory(self, standing: Standing) -> None:
        self._programs.write_inventory(self._state.told, self._state.expectations, standing)


def demolish(name: str) -> None:
    """Remove a lab from nothing but its name, whatever state it is in: its processes, its namespaces, its directory."""
    network.destroy(name)
    cgroups.remove(name)
    state.forget(name)


def labs() -> list[str]:
    """Names of the labs on this machine."""
    return sorted({*namespaces.labs(), *state.names()})

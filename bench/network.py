"""Two network namespaces with a link between them: the side that probes, and the side that is probed.

The side that is probed owns a whole /16 of addresses, which a route leads to over one next hop, as a pod network's do: so there
is no neighbour table to fill. Both ends are tuned so that no limit of the kernel's own takes part in a measurement.
"""

import os
import subprocess
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from bench.measurement import Unavailable

PROBER, TARGET = "10.90.0.1", "10.90.0.2"
"""Addresses of the two ends of the link."""
DEVICE = "bench0"
"""The link, at both ends."""
_TARGETS = "10.91.0.0/16"
_TUNED = {
    "net.ipv4.ping_group_range": "0 2147483647",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv4.icmp_msgs_per_sec": "1000000",
    "net.ipv4.icmp_msgs_burst": "1000000",
    "net.ipv4.ip_local_port_range": "1024 65000",
}


def targets(count: int) -> list[str]:
    """So many addresses, at most 60,000, that the side which is probed answers on."""
    return [f"10.91.{1 + number // 250}.{1 + number % 250}" for number in range(count)]


class Network:
    """The two namespaces; `prober` and `target` are their names. Needs root."""

    def __init__(self, name: str) -> None:
        self.prober = f"bench-{name}-{os.getpid()}-p"
        self.target = f"bench-{name}-{os.getpid()}-t"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Build it; raises Unavailable where that is not allowed."""
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root")
        with ExitStack() as stack:
            for netns in (self.prober, self.target):
                _ip("netns", "add", netns)
                stack.callback(_ip, "netns", "del", netns)
            _ip(
                "link",
                "add",
                "name",
                DEVICE,
                "netns",
                self.prober,
                "type",
                "veth",
                "peer",
                "name",
                DEVICE,
                "netns",
                self.target,
            )
            for netns, own in ((self.prober, PROBER), (self.target, TARGET)):
                for setting, value in _TUNED.items():
                    # Some belong to the whole machine in some kernels, and are then left as they are.
                    _run("nsenter", f"--net=/run/netns/{netns}", "sysctl", "-qe", f"{setting}={value}", check=False)
                _ip("-n", netns, "addr", "add", f"{own}/30", "dev", DEVICE)
                for device in ("lo", DEVICE):
                    _ip("-n", netns, "link", "set", device, "up")
            _ip("-n", self.prober, "route", "add", _TARGETS, "via", TARGET)
            _ip("-n", self.target, "route", "add", "local", _TARGETS, "dev", "lo")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Delete it."""
        self._stack.close()


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")

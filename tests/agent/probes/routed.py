"""Two hosts and a router between them, as network namespaces: real ICMP errors, real NAT, real loss."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets that are opened in here belong to the namespace, whoever uses them later."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as there:
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


def run(command: str, *, text: str | None = None) -> str:
    """Run a command and return what it prints; raises AssertionError with what it complains of."""
    done = subprocess.run(command.split(), input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Routed:
    """Namespaces by part. A is 10.77.1.2 and fd77:1::2, B is 10.77.2.2 and fd77:2::2; the router has .1 and ::1 of both."""

    a: str
    router: str
    b: str

    def rules(self, text: str) -> None:
        """Load nftables rules into the router."""
        lines = text.replace("{", "{\n").replace("}", "\n}\n").replace(";", "\n")
        run(f"ip netns exec {self.router} nft -f -", text=lines)

    def on_router(self, command: str) -> str:
        """Run a command in the router."""
        return run(f"ip netns exec {self.router} {command}")


def build() -> Routed:
    """Lay the cables; `tear_down` removes all, also of a half-built one."""
    tag = os.urandom(3).hex()
    net = Routed(f"nmt-a-{tag}", f"nmt-r-{tag}", f"nmt-b-{tag}")
    try:
        for name in (net.a, net.router, net.b):
            run(f"ip netns add {name}")
            run(f"ip -n {name} link set lo up")
        for index, host in ((1, net.a), (2, net.b)):
            run(f"ip -n {net.router} link add r{index} type veth peer name eth0 netns {host}")
            for name, link, last in ((net.router, f"r{index}", 1), (host, "eth0", 2)):
                run(f"ip -n {name} addr add 10.77.{index}.{last}/24 dev {link}")
                run(f"ip -n {name} addr add fd77:{index}::{last}/64 dev {link} nodad")
                run(f"ip -n {name} link set {link} up")
            run(f"ip -n {host} route add default via 10.77.{index}.1")
            run(f"ip -n {host} -6 route add default via fd77:{index}::1")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            run(f"ip netns exec {net.router} sysctl -qw {key}=1")
        # As many ICMP errors as there are packets, since it is not the limit that is tested.
        for key in ("net.ipv4.icmp_ratelimit", "net.ipv4.icmp_ratemask", "net.ipv6.icmp.ratelimit"):
            run(f"ip netns exec {net.router} sysctl -qw {key}=0")
    except BaseException:
        tear_down(net)
        raise
    return net


def tear_down(net: Routed) -> None:
    """Remove the namespaces, and with them every link and rule."""
    for name in (net.a, net.router, net.b):
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

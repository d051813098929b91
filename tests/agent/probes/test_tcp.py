import contextlib
import ctypes
import os
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from agent.probes.prober import Context, Observation, Probe
from agent.probes.tcp import TcpProber
from wire.outcome import Outcome
from wire.path import Family, Layer, Path, Target, Tcp
from wire.window import Measure, Timed

NUMBERS = iter(range(1, 10_000))


def probe(port: int, address: str = "127.0.0.1") -> Probe:
    target = Target(name="external/t", peer="external/t", address=address)
    path = Path(vantage="n1", target=target, layer=Layer.EXTERNAL, family=Family.of(address), ask=Tcp(port=port))
    return Probe(next(NUMBERS), path, address)


def fate(prober: TcpProber, *probes: Probe, patience_s: float = 10) -> dict[int, Observation]:
    """What becomes of the probes, by number."""
    observations = {observation.probe.number: observation for observation in prober.send(probes)}
    deadline = time.monotonic() + patience_s
    while len(observations) < len(probes) and time.monotonic() < deadline:
        for observation in prober.collect():
            assert isinstance(observation, Observation)
            observations[observation.probe.number] = observation
        time.sleep(0.002)
    return observations


@pytest.fixture
def prober() -> Iterator[TcpProber]:
    prober = TcpProber(Context(permits=lambda _: True))
    yield prober
    prober.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_a_handshake_takes_what_the_kernel_measured(prober: TcpProber, server: socket.socket) -> None:
    [observation] = fate(prober, probe(port_of(server))).values()
    assert observation.outcome is None
    assert observation.timed is Timed.TCP_INFO
    assert observation.latency_ns is not None
    assert 0 < observation.latency_ns < 10_000_000
    assert observation.latency_ns % 1000 == 0


def test_a_late_look_does_not_lengthen_the_latency(prober: TcpProber, server: socket.socket) -> None:
    prober.send([probe(port_of(server))])
    time.sleep(0.1)
    [observation] = prober.collect()
    assert isinstance(observation, Observation)
    assert observation.latency_ns is not None
    assert observation.latency_ns < 50_000_000


def test_ipv6_is_probed_as_ipv4_is(prober: TcpProber) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        [observation] = fate(prober, probe(port_of(listener), "::1")).values()
    assert observation.timed is Timed.TCP_INFO


def test_survive_45_a_server_that_never_accepts_nor_speaks_is_a_handshake_like_any_other(prober: TcpProber) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        [observation] = fate(prober, probe(port_of(listener))).values()
    assert observation.latency_ns is not None


def test_survive_45_every_connection_is_torn_down_with_rst_and_without_a_byte(prober: TcpProber, server: socket.socket) -> None:
    fate(prober, probe(port_of(server)))
    connection, _ = server.accept()
    with connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_survive_45_a_closed_port_is_refused(prober: TcpProber, address: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as unused:
        unused.bind((address, 0))
        [observation] = fate(prober, probe(port_of(unused), address)).values()
    assert observation.outcome is Outcome.REFUSED


def test_survive_45_a_server_that_resets_what_it_accepted_is_reset_and_not_refused(
    prober: TcpProber, server: socket.socket
) -> None:
    prober.send([probe(port_of(server))])
    connection, _ = server.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    [observation] = prober.collect()
    assert isinstance(observation, Observation)
    assert observation.outcome is Outcome.RESET


def test_a_server_that_closes_at_once_has_completed_the_handshake(prober: TcpProber, server: socket.socket) -> None:
    prober.send([probe(port_of(server))])
    server.accept()[0].close()
    [observation] = prober.collect()
    assert isinstance(observation, Observation)
    assert observation.timed is Timed.TCP_INFO


def test_survive_45_a_syn_that_nobody_answers_stays_open_until_the_runner_forgets_it(prober: TcpProber) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(4)]
        for filler in fillers:
            filler.connect_ex(full.getsockname())
        asked = probe(port_of(full))
        before = descriptors()
        assert fate(prober, asked, patience_s=0.05) == {}
        assert descriptors() == before + 1
        prober.forget(asked)
        assert descriptors() == before
        assert prober.collect() == []
        for filler in fillers:
            filler.close()


def test_what_is_forbidden_at_connect_time_is_never_connected_to(server: socket.socket) -> None:
    asked = []

    def refuse(address: str) -> bool:
        asked.append(address)
        return False

    [observation] = TcpProber(Context(permits=refuse)).send([probe(port_of(server))])
    assert observation.outcome is Outcome.FORBIDDEN
    assert asked == ["127.0.0.1"]
    assert not select.select([server], [], [], 0.02)[0]


def test_survive_29_without_a_descriptor_a_probe_is_not_sampled_and_the_next_one_is(
    prober: TcpProber, server: socket.socket
) -> None:
    with no_descriptors():
        [observation] = prober.send([probe(port_of(server))])
    assert observation.outcome is Outcome.NO_FD
    [observation] = fate(prober, probe(port_of(server))).values()
    assert observation.latency_ns is not None


@pytest.mark.lab
def test_survive_31_without_a_source_port_a_probe_is_a_local_error() -> None:
    code = (
        "import runpy, socket, sys; from pathlib import Path;"
        "Path('/proc/sys/net/ipv4/ip_local_port_range').write_text('40000 40001');"
        "tests = runpy.run_path(sys.argv[1]); server = socket.create_server(('127.0.0.1', 80));"
        "prober = tests['TcpProber'](tests['Context'](permits=lambda _: True));"
        "print(*(o.outcome.word for o in prober.send([tests['probe'](80) for _ in range(5)])))"
    )
    inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-c", code, __file__]
    root = str(FilePath(__file__).parents[3])
    shown = subprocess.run(inside, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": root})
    assert shown.stdout.split() == ["no_port"] * 3, shown.stderr


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors() -> int:
    return len(list(FilePath("/proc/self/fd").iterdir()))


RULES = """
table inet faults {
  chain input {
    type filter hook input priority 0;
    ip version 4 tcp dport 81 reject with icmp type admin-prohibited
    ip version 4 tcp dport 82 reject with icmp type host-unreachable
    ip version 4 tcp dport 83 reject with icmp type port-unreachable
    ip version 4 tcp dport 84 reject with icmp type host-prohibited
    ip version 4 tcp dport 85 reject with icmp type net-unreachable
    ip6 version 6 tcp dport 81 reject with icmpv6 type admin-prohibited
    ip6 version 6 tcp dport 82 reject with icmpv6 type addr-unreachable
    ip6 version 6 tcp dport 83 reject with icmpv6 type port-unreachable
    ip6 version 6 tcp dport 84 reject with icmpv6 type policy-fail
    ip6 version 6 tcp dport 85 reject with icmpv6 type no-route
    tcp dport 86 reject with tcp reset
    tcp dport 87 tcp flags syn numgen inc mod 2 == 0 drop
  }
}
"""
WORDS = {
    81: Outcome.PROHIBITED,
    82: Outcome.UNREACHABLE,
    83: Outcome.REFUSED,
    84: Outcome.PROHIBITED,
    85: Outcome.UNREACHABLE,
    86: Outcome.REFUSED,
}


@pytest.fixture(scope="module")
def firewalled() -> Iterator[None]:
    """We are in a namespace from which a firewall with RULES is one hop away."""
    here, there = f"nmt-tcp-{os.getpid()}-a", f"nmt-tcp-{os.getpid()}-b"
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        for name in (here, there):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", there)
        for name, host in ((here, 1), (there, 2)):
            run("ip", "-n", name, "address", "add", f"10.9.9.{host}/24", "dev", "eth0")
            run("ip", "-n", name, "address", "add", f"fd09::{host}/64", "dev", "eth0", "nodad")
            run("ip", "-n", name, "link", "set", "eth0", "address", f"02:00:00:00:00:0{host}", "up")
            # The first neighbour solicitation over a fresh link takes a second.
            other = ("lladdr", f"02:00:00:00:00:0{3 - host}", "dev", "eth0", "nud", "permanent")
            run("ip", "-n", name, "neighbour", "add", f"fd09::{3 - host}", *other)
        run("ip", "netns", "exec", there, "nft", "-f", "-", text=RULES)
        enter(libc, f"/run/netns/{there}")
        listener = socket.create_server(("::", 87), family=socket.AF_INET6, dualstack_ipv6=True)
        enter(libc, f"/run/netns/{here}")
        with listener:
            yield
    finally:
        libc.setns(home, 0)
        os.close(home)
        for name in (here, there):
            run("ip", "netns", "delete", name, check=False)


def run(*command: str, text: str | None = None, check: bool = True) -> None:
    subprocess.run(command, input=text, text=True, check=check, capture_output=True)


def enter(libc: ctypes.CDLL, namespace: str) -> None:
    with open(namespace) as handle:  # noqa: PTH123 - a descriptor is what is needed
        assert libc.setns(handle.fileno(), 0) == 0, os.strerror(ctypes.get_errno())


@pytest.mark.lab
@pytest.mark.parametrize("address", ["10.9.9.2", "fd09::2"])
@pytest.mark.usefixtures("firewalled")
def test_survive_41_each_icmp_error_is_its_word_at_once_and_not_a_timeout(prober: TcpProber, address: str) -> None:
    asked = {port: probe(port, address) for port in WORDS}
    found = fate(prober, *asked.values(), patience_s=0.9)
    assert {port: found[probe.number].outcome for port, probe in asked.items() if probe.number in found} == WORDS


@pytest.mark.lab
@pytest.mark.usefixtures("firewalled")
def test_an_address_that_nobody_has_is_unreachable(prober: TcpProber) -> None:
    [observation] = fate(prober, probe(80, "10.9.9.77")).values()
    assert observation.outcome is Outcome.UNREACHABLE
    [observation] = fate(prober, probe(80, "192.0.2.1")).values()
    assert observation.outcome is Outcome.UNREACHABLE


@pytest.mark.lab
@pytest.mark.usefixtures("firewalled")
def test_a_retransmitted_syn_is_counted_and_its_latency_is_what_a_user_waits(prober: TcpProber) -> None:
    [observation] = fate(prober, probe(87, "10.9.9.2")).values()
    assert observation.measures == {Measure.RETRANSMITS: 1}
    assert observation.timed is Timed.USER
    assert observation.latency_ns is not None
    assert 0.9e9 < observation.latency_ns < 2.5e9

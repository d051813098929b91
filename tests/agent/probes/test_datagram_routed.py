"""The datagram kinds over a router: errors, NAT and loss as networks really make them."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.probes.datagram import DatagramProber
from agent.probes.icmp import IcmpProber
from agent.probes.prober import Context
from agent.probes.udp import UdpProber
from agent.responders.reflector import Reflector
from tests.agent.probes.collecting import a_path, a_probe, awaited, collected, notes, observations
from tests.agent.probes.routed import Routed, build, inside, run, tear_down
from wire.outcome import Outcome
from wire.path import Ask, Family, Icmp, Path, Udp
from wire.plan import GroupKey
from wire.window import FactName, Measure

pytestmark = pytest.mark.lab

KEY = GroupKey(3, b"sixteen byte key")
PORT = 8620
B = {Family.IPV4: "10.77.2.2", Family.IPV6: "fd77:2::2"}
KINDS: list[tuple[type[DatagramProber], Ask]] = [(IcmpProber, Icmp()), (UdpProber, Udp(PORT))]
FILTER = "table inet t {{ chain forward {{ type filter hook forward priority 0; {} }} }}"


@pytest.fixture(scope="module")
def net() -> Iterator[Routed]:
    net = build()
    yield net
    tear_down(net)


@pytest.fixture(autouse=True)
def no_rules(net: Routed) -> Iterator[None]:
    yield
    net.on_router("nft flush ruleset")


@pytest.fixture
async def reflector(net: Routed) -> AsyncIterator[Reflector]:
    reflector = Reflector(Context(uid="peer-uid", keys=(KEY,)), PORT)
    with inside(net.b):
        reflector.open()
    yield reflector
    reflector.close()


def opened(net: Routed, kind: type[DatagramProber]) -> DatagramProber:
    prober = kind(Context(uid="own-uid", keys=(KEY,), addresses=frozenset({"10.77.1.2", "fd77:1::2"})))
    with inside(net.a):
        for family in Family:
            assert prober.unsupported(family) is None
    return prober


def outcome_of(net: Routed, kind: type[DatagramProber], path: Path, *, patience: float = 5.0) -> Outcome | int | None:
    prober = opened(net, kind)
    found = prober.send([a_probe(path)]) or observations(collected(prober, 1, patience=patience))
    prober.close()
    return (found[0].outcome or found[0].latency_ns) if found else None


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(("kind", "ask"), KINDS)
def test_survive_41_a_firewall_that_says_so_is_prohibited(
    net: Routed, kind: type[DatagramProber], ask: Ask, family: Family
) -> None:
    net.rules(FILTER.format("oifname r2 reject with icmpx admin-prohibited"))
    assert outcome_of(net, kind, a_path(B[family], ask)) is Outcome.PROHIBITED


@pytest.mark.parametrize("address", ["10.77.9.9", "fd77:9::9"])
@pytest.mark.parametrize(("kind", "ask"), KINDS)
def test_survive_41_a_router_without_a_route_is_unreachable(
    net: Routed, kind: type[DatagramProber], ask: Ask, address: str
) -> None:
    assert outcome_of(net, kind, a_path(address, ask)) is Outcome.UNREACHABLE


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(("kind", "ask"), KINDS)
def test_a_black_hole_says_nothing_and_is_given_no_word_by_the_prober(
    net: Routed, kind: type[DatagramProber], ask: Ask, family: Family
) -> None:
    net.rules(FILTER.format("oifname r2 drop"))
    assert outcome_of(net, kind, a_path(B[family], ask), patience=0.2) is None


@pytest.mark.parametrize(("kind", "ask", "family"), [
    (IcmpProber, Icmp(1400), Family.IPV4), (UdpProber, Udp(PORT, 1200), Family.IPV4),
    (IcmpProber, Icmp(1400), Family.IPV6), (UdpProber, Udp(PORT, 1200), Family.IPV6),
])  # fmt: skip
def test_survive_41_a_hop_whose_link_is_too_small_is_too_big(
    net: Routed, kind: type[DatagramProber], ask: Ask, family: Family
) -> None:
    net.on_router("ip link set r2 mtu 1280")
    try:
        assert outcome_of(net, kind, a_path(B[family], ask)) is Outcome.TOO_BIG
    finally:
        net.on_router("ip link set r2 mtu 1500")
        run(f"ip -n {net.a} route flush cache")
        run(f"ip -n {net.a} -6 route flush cache")


@pytest.mark.parametrize(("kind", "ask"), KINDS)
async def test_survive_41_errors_of_some_never_touch_the_probes_of_others(
    net: Routed, reflector: Reflector, kind: type[DatagramProber], ask: Ask
) -> None:
    net.rules(FILTER.format("ip daddr 10.77.2.9 reject with icmpx host-unreachable"))
    prober = opened(net, kind)
    good, bad = a_path(B[Family.IPV4], ask, uid="peer-uid"), a_path("10.77.2.9", ask)
    probes = [a_probe(path) for _ in range(50) for path in (bad, good)]
    for start in range(0, len(probes), 10):
        assert prober.send(probes[start : start + 10]) == []
        await asyncio.sleep(0.01)
    found = observations(await awaited(prober, len(probes)))
    prober.close()
    assert len(found) == 100
    assert {observation.outcome for observation in found if observation.probe.path is bad} == {Outcome.UNREACHABLE}
    assert {observation.outcome for observation in found if observation.probe.path is good} == {None}
    assert reflector.dropped.total() == 0


@pytest.mark.parametrize("family", Family)
async def test_masquerade_between_pods_is_seen_by_the_peer_and_told(net: Routed, reflector: Reflector, family: Family) -> None:
    net.rules("table inet n { chain post { type nat hook postrouting priority 100; oifname r2 masquerade; } }")
    prober = opened(net, UdpProber)
    prober.send([a_probe(a_path(B[family], Udp(PORT), uid="peer-uid"))])
    (observation,) = observations(await awaited(prober, 1))
    prober.close()
    assert observation.facts[FactName.SOURCE] == {Family.IPV4: "10.77.2.1", Family.IPV6: "fd77:2::1"}[family]
    assert observation.facts[FactName.HOP_LIMIT] == "63"
    assert observation.confirmed
    assert reflector.replied == 1


async def test_survive_40_a_copy_made_by_the_network_is_a_duplicate(net: Routed, reflector: Reflector) -> None:
    net.rules('table ip d { chain forward { type filter hook forward priority 0; oifname r1 dup to 10.77.1.2 device "r1"; } }')
    for kind, ask in KINDS:
        prober = opened(net, kind)
        prober.send([a_probe(a_path(B[Family.IPV4], ask, uid="peer-uid"))])
        found = [*await awaited(prober, 1), *await awaited(prober, 1, patience=0.2)]
        prober.close()
        assert len(observations(found)) == 1
        assert {Measure.DUPLICATES: 1} in [dict(note.measures) for note in notes(found)]
    assert reflector.replied == 1


@pytest.mark.parametrize("family", Family)
async def test_random_loss_is_told_by_direction_to_the_packet(
    net: Routed, reflector: Reflector, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.directions.HORIZON_NS", 0)
    prober = opened(net, UdpProber)
    path = a_path(B[family], Udp(PORT), uid="peer-uid")
    found = []
    for number in range(400):
        if number == 1:  # the first and the last are answered for certain, so that the account covers all the others
            net.rules(
                "table inet t { counter there {} counter back {} chain forward { type filter hook forward priority 0;"
                " oifname r2 meta l4proto udp numgen random mod 100 < 20 counter name there drop;"
                " oifname r1 meta l4proto udp numgen random mod 100 < 10 counter name back drop; } }"
            )
        if number == 399:
            net.rules("flush chain inet t forward")
        assert prober.send([a_probe(path)]) == []
        found += await awaited(prober, 1, patience=0.02)
    found += await awaited(prober, 400, patience=0.3)  # answers of a slow machine
    prober.close()
    forward = sum(note.measures.get(Measure.FORWARD_LOST, 0) for note in notes(found))
    backward = sum(note.measures.get(Measure.BACKWARD_LOST, 0) for note in notes(found))
    counted = {
        name: int(packets)
        for name, packets in re.findall(r"counter (\w+) \{\s+packets (\d+)", net.on_router("nft list counters"))
    }
    assert (forward, backward) == (counted["there"], counted["back"])
    assert forward > 0 < backward
    assert len(observations(found)) == 400 - forward - backward
    assert reflector.replied == 400 - forward


SCRIPT = """
import sys, time
from agent.probes.icmp import IcmpProber
from agent.probes.prober import Context, Probe
from agent.track import Track
from wire.path import Family, Icmp, Layer, Path, Target
from wire.plan import PlannedPath
prober = IcmpProber(Context())
for number, address in ((1, "127.0.0.1"), (2, "127.0.0.1"), (3, "::1")):
    path = Path("n1", Target("pod/a/b", "n2", address=address), Layer.POD, Family.of(address), Icmp())
    said = prober.send([Probe(number, path, address, track=Track(PlannedPath(path, 1000, 1000)))])
    time.sleep(0.05)
    for observation in said + prober.collect():
        print(number, observation.outcome and observation.outcome.word, observation.timed.word, prober.unsupported(path.family))
"""


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("65532 65532", r"(1 None \w+ None\n)2 None kernel None\n3 None kernel None\n"),
        ("1 0", r"(\d unsupported  no socket: .+\n){3}"),
    ],
)
def test_without_any_capability_ping_sockets_do_and_without_them_icmp_is_unsupported(
    net: Routed, groups: str, expected: str
) -> None:
    subprocess.run(["ip", "netns", "exec", net.b, "sysctl", "-qw", f"net.ipv4.ping_group_range={groups}"], check=True)
    restricted = ["setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    printed = subprocess.run(
        ["ip", "netns", "exec", net.b, *restricted, sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert printed.stderr == ""
    assert re.fullmatch(expected, printed.stdout)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(("kind", "ask"), KINDS)
async def test_survive_32_all_probes_of_a_path_are_one_flow_in_a_connection_table(
    net: Routed, reflector: Reflector, kind: type[DatagramProber], ask: Ask, family: Family
) -> None:
    """A table that is full of short flows drops other people's packets, and ours with them."""
    net.rules(FILTER.format("ct state new counter; counter"))
    prober, path = opened(net, kind), a_path(B[family], ask)
    for _ in range(20):
        prober.send([a_probe(path)])
        assert len(observations(await awaited(prober, 1))) == 1
    prober.close()
    assert reflector.port == PORT
    flows, packets = (int(count) for count in re.findall(r"counter packets (\d+)", net.on_router("nft list ruleset")))
    assert packets >= 40
    assert flows == 1


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(("kind", "ask"), KINDS)
def test_survive_32_a_packet_that_our_own_kernel_refuses_is_our_own_fault(
    net: Routed, kind: type[DatagramProber], ask: Ask, family: Family
) -> None:
    """A full connection table on our own node refuses new flows at the send, as any drop on the way out does (EPERM)."""
    rules = "table inet t {\n chain o {\n type filter hook output priority 0\n ct state new drop\n }\n}\n"
    run(f"ip netns exec {net.a} nft -f -", text=rules)
    try:
        outcome = outcome_of(net, kind, a_path(B[family], ask))
    finally:
        run(f"ip netns exec {net.a} nft flush ruleset")
    assert outcome is Outcome.FORBIDDEN
    assert outcome.is_local

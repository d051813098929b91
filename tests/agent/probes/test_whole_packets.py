"""Packets of a planned length that must not be fragmented, over a router as routers really are."""

import re
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.probes.datagram import DatagramProber
from agent.probes.icmp import IcmpProber
from agent.probes.prober import Context, Observation
from agent.probes.udp import UdpProber
from agent.responders.reflector import Reflector
from tests.agent.probes.collecting import a_path, a_probe, awaited, observations
from tests.agent.probes.routed import Routed, build, inside, run, tear_down
from wire.outcome import Outcome
from wire.path import Ask, Family, Icmp, Udp
from wire.plan import GroupKey
from wire.window import FactName, Timed

pytestmark = pytest.mark.lab

KEY = GroupKey(3, b"sixteen byte key")
PORT = 8621
B = {Family.IPV4: "10.77.2.2", Family.IPV6: "fd77:2::2"}
PING, RAW, UDP = (IcmpProber, "0 0"), (IcmpProber, "1 0"), (UdpProber, "1 0")
"""A kind, and the groups that may open ping sockets: without them it is raw ones."""
COUNTED = "table inet t {{ counter c {{}} chain forward {{ type filter hook forward priority 0; {} counter name c; }} }}"
DROPPED = "table inet t {{ chain forward {{ type filter hook forward priority 0; {} drop; }} }}"
DF = {Family.IPV4: "ip frag-off & 0x4000 == 0x4000", Family.IPV6: "exthdr frag missing"}


def ask(kind: type[DatagramProber], packet_bytes: int = 0) -> Ask:
    return Icmp(packet_bytes=packet_bytes) if kind is IcmpProber else Udp(PORT, packet_bytes=packet_bytes)


@pytest.fixture(scope="module")
def net() -> Iterator[Routed]:
    net = build()
    yield net
    tear_down(net)


@pytest.fixture(autouse=True)
def as_built(net: Routed) -> Iterator[None]:
    yield
    net.on_router("nft flush ruleset")
    net.on_router("ip link set r2 mtu 1500")
    for host in (net.a, net.b):
        run(f"ip -n {host} link set eth0 mtu 1500")
        run(f"ip -n {host} route flush cache")
        run(f"ip -n {host} -6 route flush cache")


@pytest.fixture
async def reflector(net: Routed) -> AsyncIterator[Reflector]:
    reflector = Reflector(Context(uid="peer-uid", keys=(KEY,)), PORT)
    with inside(net.b):
        reflector.open()
    yield reflector
    reflector.close()


@pytest.fixture(params=[PING, RAW, UDP], ids=["ping", "raw", "udp"])
def prober(net: Routed, request: pytest.FixtureRequest) -> Iterator[DatagramProber]:
    kind, groups = request.param
    subprocess.run(["ip", "netns", "exec", net.a, "sysctl", "-qw", f"net.ipv4.ping_group_range={groups}"], check=True)
    prober: DatagramProber = kind(Context(uid="own-uid", keys=(KEY,)))
    with inside(net.a):
        for family in Family:
            for whole in (False, True):
                assert prober._lines.current(family, whole=whole).raw is (request.param == RAW)
    yield prober
    prober.close()


async def probed(prober: DatagramProber, family: Family, packet_bytes: int = 0, *, patience: float = 5.0) -> Observation | None:
    """What one probe comes to; None where nothing came."""
    path = a_path(B[family], ask(type(prober), packet_bytes), uid="peer-uid")
    found = prober.send([a_probe(path)]) or observations(await awaited(prober, 1, patience=patience))
    return found[0] if found else None


def counted(net: Routed) -> int:
    match = re.search(r"packets (\d+)", net.on_router("nft list counter inet t c"))
    assert match is not None
    return int(match[1])


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("packet_bytes", [512, 1200, 1500])
async def test_a_packet_is_as_long_on_the_wire_as_planned_and_not_to_be_fragmented(
    net: Routed, reflector: Reflector, prober: DatagramProber, family: Family, packet_bytes: int
) -> None:
    length = f"meta length {packet_bytes}"
    net.rules(COUNTED.format(f"oifname r2 {length} {DF[family]}"))
    await probed(prober, family, packet_bytes)  # the first packet after the first stamping socket may be unstamped
    observation = await probed(prober, family, packet_bytes)
    assert observation is not None
    assert observation.outcome is None
    assert observation.timed is Timed.KERNEL
    assert counted(net) == 2
    assert reflector.dropped.total() == 0


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("prober", [UDP], indirect=True)
async def test_a_whole_packet_is_answered_by_one_as_long_and_as_whole(
    net: Routed, reflector: Reflector, prober: DatagramProber, family: Family
) -> None:
    net.rules(COUNTED.format(f"oifname r1 udp sport {PORT} meta length 1500 {DF[family]}"))
    observation = await probed(prober, family, 1500)
    assert observation is not None
    assert observation.confirmed
    assert (counted(net), reflector.replied) == (1, 1)


@pytest.mark.parametrize("family", Family)
async def test_survive_41_a_black_hole_for_long_packets_is_silence_for_these_alone(
    net: Routed, reflector: Reflector, prober: DatagramProber, family: Family
) -> None:
    net.rules(DROPPED.format("meta length > 1450"))
    answered = [await probed(prober, family, length, patience=0.3) for length in (0, 512, 1450, 1451, 1500)]
    assert [one is not None and one.latency_ns is not None for one in answered] == [True, True, True, False, False]
    assert reflector.dropped.total() == 0


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("prober", [UDP], indirect=True)
async def test_a_black_hole_on_the_way_back_is_found_too(
    net: Routed, reflector: Reflector, prober: DatagramProber, family: Family
) -> None:
    net.rules(DROPPED.format("oifname r1 meta length > 1450"))
    assert await probed(prober, family, 1500, patience=0.3) is None
    assert reflector.replied == 1


@pytest.mark.parametrize("family", Family)
async def test_survive_41_a_hop_that_says_too_big_says_its_mtu_again_and_again_and_short_packets_go_on(
    net: Routed, reflector: Reflector, prober: DatagramProber, family: Family
) -> None:
    """What the kernel learned of the path after the first answer neither cuts nor stops the next whole packet."""
    net.on_router("ip link set r2 mtu 1400")
    for _ in range(3):
        observation = await probed(prober, family, 1500)
        assert observation is not None
        assert (observation.outcome, observation.facts) == (Outcome.TOO_BIG, {FactName.MTU: "1400"})
        for packet_bytes in (0, 512, 1400):
            short = await probed(prober, family, packet_bytes)
            assert short is not None
            assert short.outcome is None
    assert reflector.dropped.total() == 0


@pytest.mark.parametrize("family", Family)
async def test_a_packet_that_its_own_link_cannot_carry_is_unsupported_and_never_loss(
    net: Routed, reflector: Reflector, prober: DatagramProber, family: Family
) -> None:
    run(f"ip -n {net.a} link set eth0 mtu 1400")
    outcomes = []
    for packet_bytes in (1401, 1400, 0):
        observation = await probed(prober, family, packet_bytes)
        assert observation is not None
        outcomes.append(observation.outcome)
    assert outcomes == [Outcome.UNSUPPORTED, None, None]
    assert Outcome.UNSUPPORTED.is_local
    assert reflector.dropped.total() == 0


@pytest.mark.parametrize("family", Family)
async def test_a_length_that_no_packet_has_is_never_sent(reflector: Reflector, prober: DatagramProber, family: Family) -> None:
    for packet_bytes in (27, 9217):
        observation = await probed(prober, family, packet_bytes)
        assert observation is not None
        assert observation.outcome is Outcome.UNSUPPORTED
    assert reflector.replied == 0


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("prober", [UDP], indirect=True)
async def test_what_came_in_fragments_is_answered_though_it_is_longer_than_the_link(
    reflector: Reflector, prober: DatagramProber, family: Family
) -> None:
    path = a_path(B[family], Udp(PORT, padding=3000), uid="peer-uid")
    for _ in range(2):
        prober.send([a_probe(path)])
        (observation,) = observations(await awaited(prober, 1))
        assert observation.confirmed
        whole = await probed(prober, family, 1500)
        assert whole is not None
        assert whole.confirmed
    assert (reflector.replied, reflector.dropped.total()) == (4, 0)

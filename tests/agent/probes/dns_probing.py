"""Probes to a name server on loopback, and patience for tests of the dns kind."""

import itertools
import time

from agent.probes.dns import DnsProber
from agent.probes.prober import Observation, Probe
from tests.agent.probes.name_server import NameServer
from wire.path import Dns, Family, Layer, Path, Record, Target

NUMBERS = itertools.count(1)
NAME = "www.example.test."


def probe(port: int, record: Record = Record.A, *, address: str = "127.0.0.1", tcp: bool = False, contains: str = "") -> Probe:
    ask = Dns(NAME, record, port, tcp=tcp, contains=contains)
    target = Target("dns/cluster", "dns/cluster", address=address)
    return Probe(next(NUMBERS), Path("n1", target, Layer.DNS, Family.of(address), ask), address)


def fates(prober: DnsProber, server: NameServer, *probes: Probe, patience_s: float = 5) -> list[Observation]:
    """What becomes of the probes, in the order in which it is known."""
    found = prober.send(probes)
    deadline = time.monotonic() + patience_s
    while len(found) < len(probes) and time.monotonic() < deadline:
        server.turn()
        found += [one for one in prober.collect() if isinstance(one, Observation)]
        time.sleep(0.001)
    return found


def nothing_comes(prober: DnsProber, server: NameServer, *probes: Probe) -> None:
    """Nothing is judged for as long as it takes the server and the prober to look at everything several times."""
    assert fates(prober, server, *probes, patience_s=0.05) == []

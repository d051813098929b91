"""The probe kinds, one file each, and the table that names them all."""

from collections.abc import Mapping

from agent.probes.dns import DnsProber
from agent.probes.http import HttpProber
from agent.probes.icmp import IcmpProber
from agent.probes.prober import Prober
from agent.probes.tcp import TcpProber
from agent.probes.udp import UdpProber
from wire.path import Kind

PROBERS: Mapping[Kind, type[Prober]] = {
    Kind.ICMP: IcmpProber,
    Kind.UDP: UdpProber,
    Kind.TCP: TcpProber,
    Kind.HTTP: HttpProber,
    Kind.DNS: DnsProber,
}

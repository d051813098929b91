"""The collector's configuration: one frozen tree, read once at the start.

In comes a YAML file in which everything may be left out, out comes a valid tree or one sentence that names the path.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from collector.derivation import ExpectSettings
from collector.document import parse, read_text
from collector.duration import Duration
from collector.external import External
from collector.receivers import Notify
from wire.path import Family
from wire.text import Name

SECOND = 1_000_000_000
LEAST_MTU = 576
"""What every host takes in one piece (RFC 791 section 3.1): a shorter MTU is a slip, and no UDP probe would fit."""

Every = Annotated[int, Meta(ge=0, le=1000)]
Rate = Annotated[int, Meta(ge=1, le=1_000_000)]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the tree; an unknown key in it is an error and never ignored."""


class Listen(Section, frozen=True):
    """A TCP listener."""

    listen: Annotated[str, Meta(max_length=64)]
    """Address and port, such as `[::]:8443` or `127.0.0.1:8080`. `[::]` takes IPv4 as well; port 0 takes any free one."""

    @property
    def host(self) -> str:
        """The address without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 for any."""
        return int(self.listen.rpartition(":")[2])

    def __post_init__(self) -> None:
        """Raise ValueError where this is not ADDRESS:PORT."""
        host, colon, port = self.listen.rpartition(":")
        if not (host and colon and port.isascii() and port.isdigit() and int(port) <= 65535):  # noqa: PLR2004 - TCP ports
            raise ValueError("expected ADDRESS:PORT such as [::]:8443")
        if (":" in host) != (host.startswith("[") and host.endswith("]")):
            raise ValueError("an IPv6 address needs brackets, as in [::]:8443")


class Tls(Section, frozen=True):
    """Files in PEM."""

    certificate: str
    """Certificate chain in PEM, the collector's own first. Default: none: tokens cross the network readable, which is for
    loopback and laboratories only."""
    key: str
    """Private key of the certificate, in PEM. Default: none."""


class AgentPort(Listen, frozen=True):
    """Where agents fetch plans and deliver reports."""

    listen: Annotated[str, Meta(max_length=64)] = "[::]:8443"
    """Address and port where agents fetch plans and deliver reports; port 0 takes any free one. Default `[::]:8443`."""
    tls: Tls | None = None
    """Certificate and key. Without them tokens cross the network readable: for loopback and laboratories only."""
    max_connections: Annotated[int, Meta(ge=16, le=100_000)] = 12_000
    """Most open connections; every agent holds one, and those that proved no token yield first. Default `12000`."""
    max_connections_per_address: Annotated[int, Meta(ge=4, le=100_000)] = 64
    """The same for one remote address. Default `64`."""


SignIn = Literal["off", "actions", "all"]


class OperatorPort(Listen, frozen=True):
    """Where people and Prometheus read: `/metrics`, `/healthz`, `/readyz`, `/api/v1`."""

    listen: Annotated[str, Meta(max_length=64)] = "[::]:8080"
    """Address and port of `/metrics`, `/healthz`, `/readyz` and `/api/v1`. Default `[::]:8080`."""
    hosts: Annotated[tuple[Name, ...], Meta(max_length=32)] = ()
    """Names that it may be asked under, besides addresses, `localhost` and names inside the cluster: any other `Host` is
    refused, which keeps a foreign page out (DNS rebinding). Default: none."""
    sign_in: SignIn = "off"
    """What people sign in for with a token: `off`, nothing, and actions are left to the command line; `actions`, to have paths
    probed from the page; `all`, where also whoever reads, Prometheus included, needs a token, for a port that is reached from
    outside of the cluster. Default `off`."""
    key_file: str = ""
    """File with keys, one a line and 16 characters or more, of those who may have paths probed now; with an inventory only,
    since a cluster has ServiceAccounts for that. Without it nobody may. Default: none."""


class Kinds(Section, frozen=True):
    """How often each kind probes a peer on the pod layer: every n-th interval, 0 for never.

    TCP and HTTP cost three and six packets, and cross what ICMP and UDP watch already.
    """

    icmp: Every = 1
    """Every n-th interval, 0 for never. Default `1`."""
    udp: Every = 1
    """The same; without udp and http nothing confirms which pod answers, and icmp and tcp stay unknown. Default `1`."""
    tcp: Every = 2
    """The same. Default `2`."""
    http: Every = 6
    """The same. Default `6`."""


class RotationSettings(Section, frozen=True):
    """The sweep of a large cluster: for one slot after the other, everybody also probes a few others, until all pairs were."""

    peers: Annotated[int, Meta(ge=0, le=100)] = 20
    """Others that are probed in one slot of the sweep over all pairs, 0 for none; fewer where an agent's 256 peers a minute
    would be exceeded. Default `20`."""
    slot: Duration = Duration(60 * SECOND)
    """How long a slot is, 10s to 1h; a cycle is as many slots as it takes, 4.2 hours for 5,000 vantages. Default `1m`."""

    def __post_init__(self) -> None:
        """Raise ValueError where the slot is out of its range."""
        if not 10 * SECOND <= self.slot <= 3600 * SECOND:
            raise ValueError(f"slot must be 10s to 1h, not {self.slot}")


class PlanSettings(Section, frozen=True):
    """What is asked of the agents. Intervals are stretched by one factor where a budget would be exceeded."""

    interval: Duration = Duration(10 * SECOND)
    """Time between two probes of one path on the pod layer, 1s to 1h. Default `10s`."""
    timeout: Duration = Duration(SECOND)
    """Waiting time after which a probe is lost (RFC 6673), 1ms to 60s. Default `1s`."""
    report: Duration = Duration(10 * SECOND)
    """Span of a report, 500ms to 10m; a cell without a report for three of them is unknown. Default `10s`."""
    kinds: Kinds = Kinds()
    """Which kinds the pod layer has, and how often."""
    host_interval: Duration | None = None
    """Interval towards addresses of nodes. Default: `plan.interval`."""
    service_interval: Duration | None = None
    """Interval towards services. Default: three times `plan.interval`."""
    external_interval: Duration | None = None
    """Interval towards external hosts. Default: three times `plan.interval`."""
    dns_interval: Duration | None = None
    """Interval towards name servers. Default: `plan.interval`."""
    mtu_interval: Duration = Duration(300 * SECOND)
    """Interval of packets that must not be fragmented, 1s to 1h. Default `5m`."""
    full_mesh_nodes: Annotated[int, Meta(ge=0, le=2000)] = 150
    """Most vantages, one a node as a rule, that all probe each other and everything else; the next five count above it.
    Default `150`."""
    peers: Annotated[int, Meta(ge=1, le=100)] = 20
    """Others that each vantage always probes and that always probe it, exactly: half in its zone, half spread over the others.
    Default `20`."""
    rotation: RotationSettings = RotationSettings()
    """Above `full_mesh_nodes`: the sweep over all other pairs."""
    vantages_per_zone: Annotated[int, Meta(ge=1, le=1000)] = 3
    """Vantages of each zone that probe a service, name server or external host; a critical one is probed by all. Default
    `3`."""
    families: Annotated[tuple[Family, ...], Meta(min_length=1, max_length=2)] = (Family.IPV4, Family.IPV6)
    """Address families to probe, wherever both ends have them. Default `[ipv4, ipv6]`."""
    agent_packets_per_second: Rate = 80
    """Budget of one agent; agents refuse more than their own ceiling. Default `80`."""
    target_packets_per_second: Rate = 200
    """Budget of one target inside the cluster, summed over all agents. Default `200`."""
    external_packets_per_second: Rate = 20
    """Budget of one external host, summed over all agents. Default `20`."""

    def __post_init__(self) -> None:
        """Raise ValueError where a duration is out of its range."""
        for name, value, least, most in (
            ("interval", self.interval, SECOND, 3600 * SECOND),
            ("timeout", self.timeout, SECOND // 1000, 60 * SECOND),
            ("report", self.report, SECOND // 2, 600 * SECOND),
            ("host_interval", self.host_interval, SECOND, 3600 * SECOND),
            ("service_interval", self.service_interval, SECOND, 3600 * SECOND),
            ("external_interval", self.external_interval, SECOND, 3600 * SECOND),
            ("dns_interval", self.dns_interval, SECOND, 3600 * SECOND),
            ("mtu_interval", self.mtu_interval, SECOND, 3600 * SECOND),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name} must be {Duration(least)} to {Duration(most)}, not {value}")
        if len(set(self.families)) != len(self.families):
            raise ValueError("families names one twice")


Dotted = Annotated[str, Meta(max_length=253, pattern=r"^([A-Za-z0-9_-]+\.)*\Z")]
"""A name with its last dot, or nothing."""


class DiscoverySettings(Section, frozen=True):
    """What is found and probed in a cluster; of no effect with an inventory."""

    namespace: Name = "netmatrix"
    """Namespace of the collector, its agents and its echo service. Default `netmatrix`."""
    host_namespace: Name = "netmatrix-host"
    """Namespace of the agents in the networks of their nodes. Default `netmatrix-host`."""
    cluster_domain: Name = "cluster.local"
    """Domain of the cluster's own names. Default `cluster.local`."""
    dns_services: Annotated[tuple[Name, ...], Meta(max_length=8)] = ("kube-system/kube-dns", "openshift-dns/dns-default")
    """Name servers of the cluster, besides services of kube-system with the label `k8s-app: kube-dns` and those of OpenShift's
    DNS operator. Default `[kube-system/kube-dns, openshift-dns/dns-default]`."""
    external_name: Dotted = "example.com."
    """Name outside of the cluster, with its last dot, that the cluster's name servers are asked for as well; empty where they
    know none. Default `example.com.`."""
    ingress_url: Annotated[str, Meta(max_length=1200)] = ""
    """URL at which netmatrix's own echo answers through the cluster's ingress. Default: none."""
    settling: Duration = Duration(15 * SECOND)
    """How long an agent that has become ready is excluded from verdicts, 0s to 10m. Default `15s`."""
    vantages: Annotated[int, Meta(ge=0, le=1000)] = 10
    """Most vantages of one namespace, the oldest first. Default `10`."""
    services: Annotated[int, Meta(ge=0, le=5000)] = 500
    """Most services that are probed by annotation. Default `500`."""
    endpoints: Annotated[int, Meta(ge=0, le=100)] = 10
    """Most ready endpoints of a service that are also probed directly. Default `10`."""
    node_ports: Annotated[int, Meta(ge=0, le=100)] = 3
    """Nodes through which a service with a node port is also probed. Default `3`."""
    mtu: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Longest IP packet in bytes that the pod network carries whole, 576 or more; 0 for that of the collector's own pod.
    Default `0`."""

    def __post_init__(self) -> None:
        """Raise ValueError where a duration is out of its range or an MTU too small."""
        if not 0 <= self.settling <= 600 * SECOND:
            raise ValueError(f"settling must be 0s to 10m, not {self.settling}")
        if 0 < self.mtu < LEAST_MTU:
            raise ValueError(f"mtu {self.mtu} is less than the {LEAST_MTU} bytes that every host takes")


class Export(Section, frozen=True):
    """What `/metrics` shows."""

    max_series: Annotated[int, Meta(ge=100, le=10_000_000)] = 300_000
    """Cap on exported series; what matters least is dropped first, and counted. Default `300000`."""
    pairs: bool = False
    """Also one set of series for every pair, for clusters of up to 100 nodes. Default `false`."""


class BurstSettings(Section, frozen=True):
    """How much looking again may cost: a few probes of one path at once, where a loss raises a question."""

    share: Annotated[float, Meta(ge=0.0, le=0.1)] = 0.01
    """Share of all packets a second of the plan that confirmations may add to them, 0 to 0.1. Default `0.01`."""
    least: Rate = 100
    """Packets a second that may be added however few the plan has. What people ask for by hand may cost as much
    again. Default `100`."""


class MatrixSettings(Section, frozen=True):
    """What is kept in memory."""

    retention: Duration = Duration(300 * SECOND)
    """How far back a question may reach, 10s to 1h. Default `5m`."""
    max_bytes: Annotated[int, Meta(ge=1_000_000, le=2**40)] = 512 * 1024 * 1024
    """Most memory for cells; beyond, the span that is kept is shortened. Default: 512 MiB."""

    def __post_init__(self) -> None:
        """Raise ValueError where the retention is out of its range."""
        if not 10 * SECOND <= self.retention <= 3600 * SECOND:
            raise ValueError(f"retention must be 10s to 1h, not {self.retention}")


class HistorySettings(Section, frozen=True):
    """What is remembered longer than the matrix does."""

    file: Annotated[str, Meta(max_length=4096)] = ""
    """SQLite file of the last hour of groups and thirty days of incidents, in a folder that can be written to, 512 MiB at most.
    Default: none, and nothing of it is remembered."""


class Log(Section, frozen=True):
    """What the program says of itself, on standard output."""

    format: Literal["json", "text"] = "json"
    """`json` for machines, `text` for people. Default `json`."""


class Settings(Section, frozen=True):
    """The whole tree."""

    agents: AgentPort = AgentPort()
    """The port for agents."""
    operators: OperatorPort = OperatorPort()
    """The port for people and Prometheus."""
    plan: PlanSettings = PlanSettings()
    """What is asked of the agents."""
    discovery: DiscoverySettings = DiscoverySettings()
    """What is found in a cluster."""
    expect: ExpectSettings = ExpectSettings()
    """What is expected."""
    external: Annotated[tuple[External, ...], Meta(max_length=500)] = ()
    """Hosts outside of the cluster, as in an inventory; in a cluster only."""
    export: Export = Export()
    """What is exported."""
    bursts: BurstSettings = BurstSettings()
    """What looking again may cost."""
    matrix: MatrixSettings = MatrixSettings()
    """What is kept."""
    history: HistorySettings = HistorySettings()
    """What is remembered longer."""
    notify: Notify = Notify()
    """Who is told of incidents."""
    log: Log = Log()
    """What is said."""


def parse_settings(text: str, *, name: str) -> Settings:
    """The tree that a YAML text describes; raises BadFileError, which names the file and the path."""
    return parse(text, Settings, name=name)


def load_settings(path: Path | None) -> Settings:
    """The tree in a file, the defaults for None; raises BadFileError."""
    return Settings() if path is None else parse_settings(read_text(path), name=path.name)

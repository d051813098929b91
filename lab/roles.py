"""What runs in the pods of a lab, and which ports it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lab.policies import Protocol

ECHO_PORT = 8620
AGENT_PORT = 8443
OPERATOR_PORT = 8080
CANARY_PORT = 9620
"""The one that the policy of the canaries leaves open."""
BACKEND_PORT = 8080
SERVICE_PORT = 80
DNS_PORT = 53
VXLAN_PORT = 4789
PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
RECEIVER_PORT = 9095


class Role(StrEnum):
    """What runs in a pod."""

    AGENT = "agent"
    """The agent of a node, in netmatrix's own namespace."""
    VANTAGE = "vantage"
    """A further agent, inside a namespace of the applications."""
    BACKEND = "backend"
    CANARY = "canary"
    """What only answers, so that it shows whether a policy closes one of its ports."""
    COLLECTOR = "collector"
    DNS = "dns"
    MONITORING = "monitoring"


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port of a pod, by number and by the name that policies may use."""

    name: str
    number: int
    protocol: Protocol = "TCP"


_ECHO = (ContainerPort("echo", ECHO_PORT), ContainerPort("echo-udp", ECHO_PORT, "UDP"))
PORTS: Mapping[Role, tuple[ContainerPort, ...]] = {
    Role.AGENT: _ECHO,
    Role.VANTAGE: _ECHO,
    Role.BACKEND: (ContainerPort("http", BACKEND_PORT),),
    Role.CANARY: (ContainerPort("closed", ECHO_PORT), ContainerPort("open", CANARY_PORT)),
    Role.COLLECTOR: (ContainerPort("agents", AGENT_PORT), ContainerPort("operator", OPERATOR_PORT)),
    Role.MONITORING: (ContainerPort("receiver", RECEIVER_PORT),),
    Role.DNS: (ContainerPort("dns", DNS_PORT, "UDP"), ContainerPort("dns-tcp", DNS_PORT)),
}
"""What the pods of each role listen on."""

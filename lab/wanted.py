"""How the programs of a lab should be, from the faults that are active. Pure."""

from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from lab.departure import Drain
from lab.faults import DeadNode, Fault, KillCollector, NameServer, ReusedAddress, Stop
from lab.nameserver import How
from lab.roles import Role
from lab.tampering import Throttle
from lab.topology import Pod


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a pod's program should be under the faults that are active."""

    running: bool = True
    uid: str = ""
    stopped: bool = False
    percent: float | None = None
    """Of one core, that it may use."""
    gently: bool = False
    """Whether it is told to stop and waited for, as a pod is that Kubernetes takes away."""


def wanted(pod: Pod, faults: tuple[Fault, ...]) -> Wanted:
    """What faults make of a pod's program."""
    running, uid, stopped = True, "", False
    percent: float | None = None
    gently = False
    for fault in faults:
        match fault:
            case DeadNode(node=node) if node == pod.node:
                running = False
            case NameServer(how=How.GONE) if pod.role is Role.DNS:
                running = False
            case KillCollector() if pod.role is Role.COLLECTOR:
                running = False
            case Stop(node=node) if node == pod.node and pod.role is Role.AGENT:
                stopped = True
            case Throttle(node=node, percent=share) if node == pod.node and pod.role is Role.AGENT:
                percent = share
            case ReusedAddress(node=node) if node == pod.node and pod.role is Role.AGENT:
                uid = str(uuid5(NAMESPACE_URL, f"{pod.uid}/somebody-else"))
            case Drain() if fault.takes(pod.node, pod.role):
                running, gently = False, True
            case _:
                pass
    return Wanted(running, uid, stopped, percent, gently)

"""A whole lab: network, programs, faults, and the count of every packet that it drops."""

from collections.abc import Mapping
from pathlib import Path

from lab.drops import DropLog
from lab.faults import Fault
from lab.topology import Shape, Topology


class Cluster:
    """A lab that this process has built, or that it attached to by name.

    `plan` goes into the collector's configuration as it is, such as `{"interval": "1s", "timeout": "500ms", "report": "1s"}`.
    `port` is where the collector's operator port is reachable on 127.0.0.1; 0 takes any free one.
    """

    topology: Topology
    drops: DropLog
    """Every packet that was dropped while this process had the lab."""

    def __init__(self, shape: Shape, name: str, plan: Mapping[str, object] | None = None, *, port: int = 0) -> None:
        raise NotImplementedError

    @classmethod
    def attach(cls, name: str) -> "Cluster":
        """A lab that another process built; raises LookupError where there is none of that name."""
        raise NotImplementedError

    @property
    def api_url(self) -> str:
        """Base URL of the collector's operator port, such as `http://127.0.0.1:40123`."""
        raise NotImplementedError

    @property
    def directory(self) -> Path:
        """Where logs, keys and the state file are."""
        raise NotImplementedError

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Active faults."""
        raise NotImplementedError

    async def up(self) -> None:
        """Build the network, start every program, open the doorway and count drops from here on."""
        raise NotImplementedError

    async def down(self) -> None:
        """Close the doorway, end every program in the lab and remove it. Safe to call twice and after a failed `up`."""
        raise NotImplementedError

    async def apply(self, fault: Fault) -> None:
        """Break something; it is written down before it is done. Raises ValueError where the lab has no such thing."""
        raise NotImplementedError

    async def clear(self, fault: Fault | None = None) -> None:
        """Undo one fault, or all."""
        raise NotImplementedError


def demolish(name: str) -> None:
    """Remove a lab from nothing but its name, whatever state it is in: its processes, its namespaces, its directory."""
    raise NotImplementedError


def labs() -> list[str]:
    """Names of the labs on this machine."""
    raise NotImplementedError

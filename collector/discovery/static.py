"""The inventory: one YAML file that says what exists.

In comes the file, out comes a whole valid snapshot or one sentence. A file that went bad never replaces a good snapshot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import structlog
from msgspec import structs

from collector.discovery.complaints import complaints
from collector.discovery.snapshot import Existing, Snapshot
from collector.document import BadFileError, bad, parse, read_text
from collector.expectation.document import declared
from collector.policy.document import policy_of
from collector.policy.labels import namespace_labels
from collector.policy.rules import Opaque, Policy
from collector.watched import WatchedFile

_log = structlog.get_logger()

T = TypeVar("T")
Document = Mapping[str, Any]


class Inventory(Existing, frozen=True, forbid_unknown_fields=True):
    """What stands in the file."""

    policies: tuple[dict[str, Any], ...] = ()
    """Policies as Kubernetes has them: NetworkPolicy and ClusterNetworkPolicy; whatever one of another kind is about is
    unknown."""
    expectations: tuple[dict[str, Any], ...] = ()
    """What should be reachable and what not: each a ReachabilityExpectation or ClusterReachabilityExpectation."""


def parse_inventory(text: str, *, name: str) -> Snapshot:
    """The snapshot that a YAML text describes, with every address in its shortest form.

    Raises BadFileError: `inventory.yaml: vantages[3].addresses[0]: 10.0.0.300 is not an IP address`.
    """
    inventory = parse(text, Inventory, name=name)
    for path, sentence in complaints(inventory):
        raise bad(name, path, sentence)
    policies = list(_read("policies", inventory.policies, policy_of, name))
    fields = {field: getattr(inventory, field) for field in Existing.__struct_fields__}
    snapshot = Snapshot(
        **fields,
        policies=tuple(one for one in policies if isinstance(one, Policy)),
        opaque=tuple(one for one in policies if isinstance(one, Opaque)),
        expectations=tuple(_read("expectations", inventory.expectations, declared, name)),
    )
    return structs.replace(
        snapshot,
        namespaces=tuple(structs.replace(one, labels=namespace_labels(one.name, one.labels)) for one in snapshot.namespaces),
        pods=tuple(structs.replace(pod, addresses=_shortest(pod.addresses)) for pod in snapshot.pods),
        backed=tuple(
            structs.replace(
                backed,
                addresses=_shortest(backed.addresses),
                backends=tuple(structs.replace(one, addresses=_shortest(one.addresses)) for one in backed.backends),
            )
            for backed in snapshot.backed
        ),
        nodes=tuple(structs.replace(node, addresses=_shortest(node.addresses)) for node in snapshot.nodes),
        vantages=tuple(
            structs.replace(
                vantage,
                addresses=_shortest(vantage.addresses),
                networks=tuple(structs.replace(other, addresses=_shortest(other.addresses)) for other in vantage.networks),
            )
            for vantage in snapshot.vantages
        ),
        services=tuple(
            structs.replace(
                service,
                addresses=_shortest(service.addresses),
                doors=tuple(structs.replace(door, addresses=_shortest(door.addresses)) for door in service.doors),
            )
            for service in snapshot.services
        ),
        external=tuple(
            structs.replace(external, address=str(ip_address(external.address)) if external.address else "")
            for external in snapshot.external
        ),
        dns=tuple(
            structs.replace(
                server,
                addresses=_shortest(server.addresses),
                contains=str(ip_address(server.contains)) if server.contains else "",
            )
            for server in snapshot.dns
        ),
    )


def load_inventory(path: Path) -> Snapshot:
    """The snapshot in a file; raises BadFileError, also for an empty file, which is what a crash or a full disk leaves."""
    text = read_text(path)
    if not text.strip():
        raise bad(path.name, "", "empty; an inventory of nothing is {}")
    return parse_inventory(text, name=path.name)


class InventoryFile:
    """An inventory that is read again when its file has changed; `refused` is called once for each change that is not taken."""

    def __init__(self, path: Path, *, refused: Callable[[], None]) -> None:
        self._file = WatchedFile(path)
        self._refused = refused
        self.snapshot = load_inventory(path)
        """The last good one."""

    def changed(self) -> bool:
        """Look once; True where there is another good snapshot. A bad file is said once and leaves the old one in place."""
        if not self._file.changed():
            return False
        try:
            fresh = load_inventory(self._file.path)
        except BadFileError as error:
            self._refused()
            _log.warning("the inventory is refused, the last good one stays in force", because=str(error))
            return False
        if fresh == self.snapshot:
            return False
        self.snapshot = fresh
        return True


def _read(group: str, documents: Sequence[Document], read: Callable[[Document], T], name: str) -> Iterator[T]:
    """Documents of Kubernetes in a list of the file."""
    for place, document in enumerate(documents):
        try:
            yield read(document)
        except ValueError as error:
            raise bad(name, "", f"{group}[{place}].{error}") from None


def _shortest(addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(ip_address(address)) for address in addresses)

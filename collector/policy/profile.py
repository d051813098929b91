"""What network plugins do differently where the NetworkPolicy API leaves it open.

A row for each plugin, from what it publishes and what was measured with it. None stands for "nobody says": what depends on
such a field is `unspecified`, and never guessed.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, structs

Icmp = Literal["filtered", "allowed", "unspecified"]
Open = Literal["allow", "deny", "unknown"]


class Profile(Struct, frozen=True):
    """One plugin."""

    name: str
    blocks_match_pods: bool | None = True
    """Whether an ipBlock matches the address of a pod."""
    blocks_match_nodes: bool | None = True
    """Whether it matches the address of another node."""
    icmp: Icmp = "unspecified"
    """`filtered`: a rule with peers and without ports lets it through, one with ports does not. `allowed`: always through."""
    selects_host_network: bool | None = None
    """Whether NetworkPolicies, as subject or by the labels of a peer, select pods on the host network."""
    exceptions_deny: bool | None = False
    """Whether an exception of an ipBlock closes what another peer allows, which the API says that it does not."""
    hairpin: bool | None = None
    """Whether a pod reaches itself through its own service whatever the policies say."""
    enforces: bool = True
    """Whether it does anything about policies."""
    refuses: bool = False
    """Whether what is denied is answered with a refusal, and not dropped in silence."""
    namespace_isolation: bool = False
    """Whether the isolation annotations of Tungsten Fabric are in force."""
    isolated_to_open: Open = "unknown"
    """Whether an isolated namespace then reaches one that is not: its documentation says so, and its tests the opposite."""
    opened_services: Open = "unknown"
    """Whether an annotation opens the services of an isolated namespace: nobody agrees about one that is set later."""


_ROWS = (
    Profile("generic", blocks_match_pods=None, blocks_match_nodes=None),
    Profile("strict", icmp="filtered"),
    Profile("calico", icmp="filtered", selects_host_network=False),
    Profile(
        "cilium", blocks_match_pods=False, blocks_match_nodes=False, icmp="filtered", selects_host_network=False, hairpin=True
    ),
    Profile("antrea", icmp="filtered", hairpin=True),
    Profile("kube-router", icmp="allowed", refuses=True),
    Profile("kube-network-policies", selects_host_network=False),
    Profile("tungsten-fabric", icmp="filtered", exceptions_deny=None, namespace_isolation=True),
    Profile("none", enforces=False),
)

PROFILES: Final[Mapping[str, Profile]] = {row.name: row for row in _ROWS}
GENERIC: Final = PROFILES["generic"]
"""Where the plugin is not known."""


def profile_of(name: str, *, isolated_to_open: Open = "unknown", opened_services: Open = "unknown") -> Profile:
    """The row of a plugin, with what is set; raises KeyError where there is none."""
    row = PROFILES[name]
    if not row.namespace_isolation:
        return row
    return structs.replace(row, isolated_to_open=isolated_to_open, opened_services=opened_services)

"""How many packets somebody who is no agent received and sent, as the kernel counts them in one namespace."""

import json
from typing import Literal

from lab import namespaces
from lab.roles import ECHO_PORT
from lab.topology import Topology

Who = Literal["external", "stranger"]
_TABLE = "traffic"


def begin(topology: Topology, who: Who) -> None:
    """Count from here on."""
    received, sent = _rules(who)
    namespaces.load_rules(
        _netns(topology, who),
        f"""add table inet {_TABLE}
delete table inet {_TABLE}
table inet {_TABLE} {{
counter received {{ }}
counter sent {{ }}
chain received {{
type filter hook input priority 0;
{received}
}}
chain sent {{
type filter hook output priority 0;
{sent}
}}
}}
""",
    )


def counted(topology: Topology, who: Who) -> tuple[int, int]:
    """Packets received and sent since it began."""
    text = namespaces.query_inside(_netns(topology, who), "nft", "-j", "list", "counters", "table", "inet", _TABLE)
    found = [entry["counter"] for entry in json.loads(text)["nftables"] if "counter" in entry]
    packets = {counter["name"]: int(counter["packets"]) for counter in found}
    return packets["received"], packets["sent"]


def _rules(who: Who) -> tuple[str, str]:
    if who == "external":
        # Neighbour discovery is the cable's, and no probe.
        aside = "icmpv6 type { 133-137 } return"
        return f'{aside}\niifname "eth0" counter name received', f'{aside}\noifname "eth0" counter name sent'
    return f"udp sport {ECHO_PORT} counter name received", f"udp dport {ECHO_PORT} counter name sent"


def _netns(topology: Topology, who: Who) -> str:
    if who == "stranger":
        return topology.dns.backends[0].netns
    if topology.external is None:
        raise LookupError("there is no host outside")
    return topology.external.netns

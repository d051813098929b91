"""A link that drops packets at random and counts those that it dropped (nftables, `numgen random`).

Packets are dropped where they come in at either end of the link, after they have left the other side: requests at the side that
is asked, answers at the side that asks. Neither side's sockets see anything of it.
"""

import json
import subprocess
from typing import NamedTuple

from bench.network import DEVICE, Network
from lab.namespaces import command_inside
from wire.path import Kind

_TABLE = """
table netdev bench {{
    counter of_icmp {{}}
    counter of_udp {{}}
    chain drops {{ type filter hook ingress device "{device}" priority 0; policy accept; }}
}}
"""


class Dropped(NamedTuple):
    """Packets dropped so far."""

    forward: int
    backward: int


class DroppingLink:
    """The link of a network. It drops nothing until it is told to."""

    def __init__(self, network: Network, udp_port: int) -> None:
        self._ends = {
            network.target: {"icmp": "icmp type echo-request", "udp": f"udp dport {udp_port}"},
            network.prober: {"icmp": "icmp type echo-reply", "udp": f"udp sport {udp_port}"},
        }
        for netns in self._ends:
            _nft(netns, "-f", "-", script=_TABLE.format(device=DEVICE))

    def drop(self, thousandths: int) -> None:
        """Drop this share of the requests and this share of the answers of both kinds from now on."""
        for netns, matches in self._ends.items():
            rules = ["flush chain netdev bench drops"]
            if thousandths:
                rules += [
                    f"add rule netdev bench drops meta protocol ip {match} numgen random mod 1000 < {thousandths} "
                    f"counter name of_{kind} drop"
                    for kind, match in matches.items()
                ]
            _nft(netns, "-f", "-", script="\n".join(rules))

    def dropped(self) -> dict[Kind, Dropped]:
        """What was dropped, by kind and direction."""
        forward, backward = (_counters(netns) for netns in self._ends)
        return {kind: Dropped(forward[f"of_{kind}"], backward[f"of_{kind}"]) for kind in (Kind.ICMP, Kind.UDP)}


def _counters(netns: str) -> dict[str, int]:
    listed = json.loads(_nft(netns, "-j", "list", "counters", "table", "netdev", "bench"))["nftables"]
    return {one["counter"]["name"]: int(one["counter"]["packets"]) for one in listed if "counter" in one}


def _nft(netns: str, *arguments: str, script: str = "") -> str:
    done = subprocess.run(command_inside(netns, "nft", *arguments), input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr.strip()}")
    return done.stdout

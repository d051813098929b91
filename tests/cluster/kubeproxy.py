"""The part of kube-proxy: what nodes make of Services and EndpointSlices, as nftables rules beside those of the lab."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.cluster.api import Object

_IP = {"IPv4": "ip", "IPv6": "ip6"}
_OF_SERVICE = "kubernetes.io/service-name"


def rules(services: Sequence[Object], slices: Sequence[Object]) -> str:
    """Rules for one node, the same for each: DNAT to the ready endpoints, and a refusal where there are none."""
    chains: list[str] = []
    dispatch: list[str] = []
    hairpin: set[str] = set()
    refused: list[str] = []
    for service in services:
        for family, address in _addresses(service):
            for port in service["spec"]["ports"]:
                protocol = port["protocol"].lower()
                to = list(_endpoints(service, slices, family, port))
                there = f"{_IP[family]} daddr {address} {protocol} dport {port['port']}"
                if not to:
                    refused.append(f"{there} reject with icmpx type port-unreachable")
                    continue
                hairpin |= {f"ct status dnat {_IP[family]} saddr {ip} {_IP[family]} daddr {ip} masquerade" for ip, _ in to}
                chain = f"service_{len(chains)}"
                chains.append(f"chain {chain} {{ {_choice(protocol, _IP[family], to)} }}")
                dispatch.append(f"{there} goto {chain}")
    return "\n".join(
        [
            "add table inet plane",
            "delete table inet plane",
            "table inet plane {",
            *chains,
            _chain("services", "", dispatch),
            _chain("prerouting", "type nat hook prerouting priority dstnat - 1;", ["jump services"]),
            _chain("output", "type nat hook output priority -101;", ["jump services"]),
            _chain("postrouting", "type nat hook postrouting priority srcnat - 1;", sorted(hairpin)),
            _chain("forward", "type filter hook forward priority filter;", refused),
            _chain("local", "type filter hook output priority filter;", refused),
            "}\n",
        ]
    )


def _addresses(service: Object) -> Iterator[tuple[str, str]]:
    spec: Mapping[str, list[str]] = service["spec"]
    for family, address in zip(spec.get("ipFamilies", ()), spec.get("clusterIPs", ()), strict=False):
        if address != "None":
            yield family, address


def _endpoints(service: Object, slices: Iterable[Object], family: str, port: Object) -> Iterator[tuple[str, int]]:
    for found in slices:
        metadata = found["metadata"]
        of = metadata["namespace"], metadata.get("labels", {}).get(_OF_SERVICE)
        if of != (service["metadata"]["namespace"], service["metadata"]["name"]) or found["addressType"] != family:
            continue
        for entry in found.get("ports") or ():
            if (entry.get("name") or "", entry["protocol"]) == (port.get("name") or "", port["protocol"]):
                for endpoint in found.get("endpoints") or ():
                    if endpoint.get("conditions", {}).get("ready", True):
                        yield from ((address, entry["port"]) for address in endpoint["addresses"])


def _choice(protocol: str, ip: str, to: Sequence[tuple[str, int]]) -> str:
    choices = ", ".join(f"{place} : {address} . {port}" for place, (address, port) in enumerate(to))
    return f"meta l4proto {protocol} dnat {ip} to numgen random mod {len(to)} map {{ {choices} }};"


def _chain(name: str, kind: str, lines: Sequence[str]) -> str:
    return f"chain {name} {{\n{kind}\n" + "\n".join(lines) + "\n}"

"""The plan that the collector makes at its defaults for one agent of a full mesh, and the other side of that mesh.

One process plays all the peers: it answers on the addresses of all of them, and probes the agent as often as all of them would.
"""

from msgspec import structs

from bench.agents import KEYS
from bench.network import PROBER, TARGET, targets
from collector.discovery.snapshot import Node, Snapshot, Vantage
from collector.plan.compose import compose
from collector.settings import PlanSettings
from wire.path import Family, Icmp, Layer, Path, Target
from wire.plan import Identity, Plan, PlannedPath

UID = "00000000-0000-4000-8000-000000000001"
"""Of every pod, since one process answers for all of them."""
_OWN = "v000"
_PEERS = "peers"


def mesh(nodes: int) -> tuple[Plan, Plan]:
    """The plan of one agent among so many nodes, and that of the process which plays the others towards it."""
    addresses = targets(2 * (nodes - 1))
    pods = [PROBER, *addresses[: nodes - 1]]
    hosts = [PROBER, *addresses[nodes - 1 :]]
    names = [f"v{number:03}" for number in range(nodes)]
    snapshot = Snapshot(
        nodes=tuple(Node(name, f"zone-{number % 3}", (hosts[number],)) for number, name in enumerate(names)),
        vantages=tuple(
            Vantage(name, name, "netmatrix", f"agent-{name}", (pods[number],), UID) for number, name in enumerate(names)
        ),
    )
    plans = compose(snapshot, PlanSettings(), instance=1, generation=1, keys=KEYS)
    towards_us = tuple(
        _by_the_peers(name, planned)
        for name in names[1:]
        for planned in plans.plan(name).paths
        if planned.path.target.address == PROBER
    )
    # Peers know nothing of each other: their probes come one by one. An agent with few probes sends several at once, but
    # probes to itself make this one send at every shortest tick.
    to_itself = tuple(
        PlannedPath(Path(_PEERS, Target(f"self/{number}", "self", TARGET), Layer.HOST, Family.IPV4, Icmp()), 100, 1000)
        for number in range(20)
    )
    own = plans.plan(_OWN)
    return own, structs.replace(own, identity=Identity(_PEERS, _PEERS, addresses=(TARGET,)), paths=towards_us + to_itself)


def _by_the_peers(name: str, planned: PlannedPath) -> PlannedPath:
    path = planned.path
    target = structs.replace(path.target, name=f"{path.target.name}/{name}", peer=name)
    return structs.replace(planned, path=structs.replace(path, vantage=_PEERS, target=target))

"""Which agent asks a canary: one of its own node that a policy can stop."""

from msgspec import structs

from collector.discovery.canary import canary_wants
from collector.discovery.snapshot import Node, Pod, Snapshot, Vantage

HOST = Vantage("a-host", "n1", "netmatrix", "h", ("192.0.2.1",), uid="h", host_network=True)
GUEST = Vantage("b-guest", "n1", "shop", "v", ("10.0.0.1",), uid="g")
AGENT = Vantage("n1", "n1", "netmatrix", "a", ("10.0.0.2", "fd00::2"), uid="a")
CANARY = Pod("netmatrix", "canary-1", ("10.0.0.9",), "n1", canary=True)


def asking(*vantages: Vantage, canary: Pod = CANARY) -> list[str]:
    snapshot = Snapshot(nodes=(Node("n1"), Node("n2")), vantages=vantages, pods=(canary,))
    return [f"{want.vantage} {want.target.address}" for want in canary_wants(snapshot)]


def test_the_one_in_its_own_namespace_asks_and_where_there_is_none_another_of_its_node() -> None:
    assert asking(HOST, GUEST, AGENT) == ["n1 10.0.0.9"] * 2
    assert asking(HOST, GUEST) == ["b-guest 10.0.0.9"] * 2


def test_nobody_asks_whom_no_policy_stops_or_who_is_leaving_or_elsewhere() -> None:
    assert asking(HOST) == []
    assert asking(structs.replace(AGENT, excluded="terminating")) == []
    assert asking(structs.replace(AGENT, node="n2")) == []


def test_each_family_is_asked_by_one_that_has_it() -> None:
    both = structs.replace(CANARY, addresses=("10.0.0.9", "fd00::9"))
    assert asking(GUEST, AGENT, canary=both) == ["n1 10.0.0.9"] * 2 + ["n1 fd00::9"] * 2
    assert asking(GUEST, canary=both) == ["b-guest 10.0.0.9"] * 2

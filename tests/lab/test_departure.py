from lab.departure import Drain, Standing, standing
from lab.inventory import inventory
from lab.roles import Role
from lab.rules import node_rules
from lab.shape import Shape
from lab.topology import Topology
from lab.wanted import Wanted, wanted
from wire.path import Family

TOPOLOGY = Topology.of(Shape(), "x")
KEYS = {pod.vantage: "k" * 64 for pod in TOPOLOGY.vantages}
DRAINED, REMOVED = Drain("n4"), Drain("n4", removed=True)


def names(listed: str, standing: Standing) -> set[str]:
    return {entry["name"] for entry in inventory(TOPOLOGY, KEYS, standing=standing)[listed]}


def test_a_drain_takes_the_pods_of_a_node_and_leaves_its_agent() -> None:
    here = {pod.role: wanted(pod, (DRAINED,)) for pod in TOPOLOGY.pods_on("n4")}
    assert here == {Role.AGENT: Wanted(), Role.BACKEND: Wanted(running=False, gently=True)}
    assert all(wanted(pod, (REMOVED,)).gently for pod in TOPOLOGY.pods_on("n4"))
    assert all(wanted(pod, (REMOVED,)) == Wanted() for pod in TOPOLOGY.pods if pod.node != "n4")


def test_what_leaves_is_said_to_before_and_is_not_there_after() -> None:
    leaving, gone = standing(TOPOLOGY, (REMOVED,), leaving=True), standing(TOPOLOGY, (REMOVED,))
    assert leaving == Standing(excluded={"n4": "terminating"}, cordoned=frozenset({"n4"}))
    assert "n4" in names("vantages", leaving) & names("nodes", leaving)
    assert "n4" not in names("vantages", gone) | names("nodes", gone)
    assert standing(TOPOLOGY, (DRAINED,)) == Standing(cordoned=frozenset({"n4"}))
    assert standing(TOPOLOGY, ()) == Standing()


def test_a_service_has_no_endpoint_on_a_node_that_is_drained() -> None:
    backend = next(pod for pod in TOPOLOGY.pods_on("n4") if pod.role is Role.BACKEND)
    for node in TOPOLOGY.nodes:
        assert backend.addresses[Family.IPV4] in node_rules(TOPOLOGY, node, ())
        assert backend.addresses[Family.IPV4] not in node_rules(TOPOLOGY, node, (DRAINED,))

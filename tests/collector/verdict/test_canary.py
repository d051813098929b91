"""What canaries show: policies that are not enforced are one finding, and explain the leaks that follow."""

from msgspec import structs

from agent import canary
from collector.discovery import canary as wanted
from collector.discovery.snapshot import Node, Pod, Snapshot, Vantage
from collector.verdict.canary import canaries
from collector.verdict.finding import Finding
from collector.verdict.mismatch import mismatches
from collector.verdict.pair import Verdict
from tests.collector.verdict.compared import SHUT, Watched, policy
from wire.outcome import Outcome
from wire.path import Path

NODES = ("n1", "n2", "n3")


def agent(node: str, number: int) -> Vantage:
    return Vantage(node, node, "netmatrix", f"agent-{node}", (f"10.31.0.{number}",), uid=f"a{number}")


SNAPSHOT = Snapshot(
    nodes=tuple(Node(name, "z1") for name in NODES),
    vantages=(
        *(agent(name, number) for number, name in enumerate(NODES, 1)),
        Vantage("shop-n1", "n1", "shop", "shop-0", ("10.30.0.1",), uid="u1"),
        Vantage("pay-n2", "n2", "pay", "pay-0", ("10.30.0.2",), uid="u2"),
        Vantage("pay-n3", "n3", "pay", "pay-1", ("10.30.0.3",), uid="u3"),
    ),
    pods=tuple(
        Pod("netmatrix", f"canary-{name}", (f"10.32.0.{number}",), node=name, canary=True, probed_ports=(8620,))
        for number, name in enumerate(NODES, 1)
    ),
    policies=(policy(SHUT),),
)


class Enforced:
    """What a network plugin that enforces on some nodes makes of all paths."""

    def __init__(self, *nodes: str, dead: str = "") -> None:
        self._nodes, self._dead = nodes, dead

    def __call__(self, path: Path) -> Outcome | None:
        name = path.target.name
        if name == f"pod/netmatrix/canary-{self._dead}":
            return Outcome.TIMEOUT
        if name.startswith("pod/netmatrix/canary-"):
            closed = getattr(path.ask, "port", 0) == wanted.CLOSED_PORT and name.rpartition("-")[2] in self._nodes
        else:
            node = {"pod/pay/pay-0": "n2", "pod/pay/pay-1": "n3"}.get(name, "")
            closed = node in self._nodes and not path.vantage.startswith("pay")
        return Outcome.TIMEOUT if closed else None


def watched(snapshot: Snapshot = SNAPSHOT) -> Watched:
    return Watched(snapshot)


def told(one: Watched, says: Enforced, seconds: int = 8) -> list[Finding]:
    return [finding for finding in mismatches(one.seconds(seconds, says), [], {}) if finding.effect != "broken"]


def test_each_canary_is_asked_by_the_agent_of_its_own_node_on_both_ports_and_by_nobody_else() -> None:
    asked = {(want.vantage, want.target.name, getattr(want.ask, "port", 0)) for want in wanted.canary_wants(SNAPSHOT)}
    assert asked == {(node, f"pod/netmatrix/canary-{node}", port) for node in NODES for port in (8620, 9620)}


def test_agent_and_collector_mean_the_same_ports() -> None:
    assert (canary.CLOSED_PORT, canary.OPEN_PORT) == (wanted.CLOSED_PORT, wanted.OPEN_PORT)


def test_where_policies_are_enforced_nothing_is_told() -> None:
    one = watched().seconds(8, Enforced(*NODES))
    assert canaries(one).ok == {(node, test): True for node in NODES for test in ("deny", "allow")}
    assert [finding.scope.kind for finding in mismatches(one, [], {})] == []


def test_where_they_are_enforced_nowhere_it_is_one_finding_that_names_the_nodes_and_no_leak() -> None:
    (finding,) = told(watched(), Enforced())
    assert (finding.scope.kind, finding.scope.component, finding.effect) == ("canary", "cluster", "not_enforced")
    assert (finding.severity, finding.nodes, finding.certain) == ("critical", 3, True)
    assert "not enforced on 3 of 3 nodes: n1, n2, n3." in finding.sentence


def test_where_they_are_enforced_but_on_one_node_that_node_is_told_and_leaks_elsewhere_too() -> None:
    (finding,) = told(watched(), Enforced("n1", "n3"))
    assert (finding.scope.kind, finding.scope.component) == ("canary", "n2")
    one = watched()
    leaking = told(one, lambda path: None if path.target.name == "pod/pay/pay-1" else Enforced("n1", "n3")(path))  # type: ignore[arg-type]
    assert [(found.scope.kind, found.scope.component) for found in leaking] == [
        ("canary", "n2"),
        ("policy", "netmatrix>pay"),
        ("policy", "shop>pay"),
    ]


def test_what_pods_of_such_a_node_reach_elsewhere_follows_from_it_too() -> None:
    def says(path: Path) -> Outcome | None:
        return None if (path.vantage, path.target.name) == ("n2", "pod/pay/pay-1") else Enforced("n1", "n3")(path)

    assert [finding.scope.component for finding in mismatches(watched().seconds(8, says), [], {})] == ["n2"]


def test_a_first_answer_is_a_suspicion_that_leaks_wait_for() -> None:
    one = watched()
    one.seconds(20, Enforced(*NODES))
    (finding,) = told(one, Enforced(), 1)
    assert (finding.scope.kind, finding.certain) == ("canary", False)


def test_silence_of_a_canary_that_nobody_reaches_proves_nothing() -> None:
    one = watched().seconds(8, Enforced(*NODES, dead="n2"))
    assert ("n2", "deny") not in canaries(one).ok
    assert canaries(one).ok["n2", "allow"] is False
    assert "canary" not in {finding.scope.kind for finding in mismatches(one, [], {})}


def test_a_canary_that_is_not_ready_is_left_out() -> None:
    pods = tuple(structs.replace(pod, ready=pod.node != "n2") for pod in SNAPSHOT.pods)
    one = watched(structs.replace(SNAPSHOT, pods=pods)).seconds(8, Enforced("n1", "n3"))
    assert {node for node, _ in canaries(one).ok} == {"n1", "n3"}
    assert Verdict.EXCLUDED in one.compared.verdict
    assert "canary" not in {finding.scope.kind for finding in mismatches(one, [], {})}


def test_it_does_not_depend_on_the_right_to_read_policies() -> None:
    (finding,) = told(watched(structs.replace(SNAPSHOT, policies=(), policies_read=False)), Enforced())
    assert finding.scope.kind == "canary"

"""What is expected follows from a snapshot, services by what is behind them."""

from msgspec import structs

from collector.derivation import ExpectSettings
from collector.discovery.expecting import expectations_in, expects_the_same
from collector.expectation.document import declared
from collector.policy.ends import Connection
from collector.policy.evaluate import Answer
from collector.policy.network_policy import network_policy
from tests.collector.discovery.test_ends import ENDS, SNAPSHOT

CLOSED = network_policy({"metadata": {"name": "closed", "namespace": "shop"}, "spec": {}})
DECLARED = declared(
    {
        "kind": "ReachabilityExpectation",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"to": [{"service": {"name": "db"}}], "expect": "deny"},
    }
)
SQL = Connection("TCP", 5432, via_service=True)


def test_policies_and_declarations_of_a_snapshot_are_in_force() -> None:
    snapshot = structs.replace(SNAPSHOT, policies=(CLOSED,), expectations=(DECLARED,), profile="calico")
    known = expectations_in(snapshot, ExpectSettings(), ENDS)
    vantage, db, other = ENDS.vantages["shop/v"], ENDS.pods["shop/db-0"], ENDS.vantages["n1"]
    assert known.of(vantage, db, SQL, "shop/db").name == "shop/a"
    assert known.of(other, db, SQL, "shop/db").policy == "NetworkPolicy shop/closed"


def test_what_is_behind_a_service_is_known_from_what_is_probed_too() -> None:
    for snapshot in (SNAPSHOT, structs.replace(SNAPSHOT, backed=())):
        (service,) = expectations_in(snapshot, ExpectSettings()).cluster.services
        assert (str(service), str(service.backings[0].pod), service.backings[0].target_port) == ("shop/db", "shop/db-0", 5432)


def test_without_the_right_to_read_policies_everything_is_unknown() -> None:
    known = expectations_in(structs.replace(SNAPSHOT, policies_read=False), ExpectSettings())
    answer = known.of(ENDS.vantages["n1"], ENDS.pods["shop/db-0"], Connection("TCP", 5432)).answer
    assert answer is Answer.UNKNOWN


def test_who_is_ready_says_nothing_of_what_is_expected_and_what_somebody_is_called_does() -> None:
    (db,), (service,), (node,) = SNAPSHOT.pods, SNAPSHOT.services, SNAPSHOT.nodes
    first, *others = SNAPSHOT.vantages
    for same in (
        {"pods": (structs.replace(db, ready=not db.ready, probed_ports=(5432,)),)},
        {"services": (structs.replace(service, endpoints=0),)},
        {"nodes": (structs.replace(node, excluded="cordoned"),)},
        {"vantages": (structs.replace(first, excluded="not_ready"), *others)},
    ):
        assert expects_the_same(SNAPSHOT, structs.replace(SNAPSHOT, **same))
    for other in (
        {"pods": (structs.replace(db, labels={"app": "other"}),)},
        {"pods": ()},
        {"services": (structs.replace(service, port=81),)},
        {"policies": (CLOSED,)},
    ):
        assert not expects_the_same(SNAPSHOT, structs.replace(SNAPSHOT, **other))

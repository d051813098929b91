"""What is wanted follows from a snapshot: what it declares, its canaries, and the names that its services have."""

from msgspec import structs

from collector.derivation import ExpectSettings
from collector.discovery.snapshot import Pod
from collector.discovery.wanted import wants_in
from collector.expectation.document import declared
from tests.collector.discovery.test_ends import SNAPSHOT

BY_NAME = declared(
    {
        "kind": "ClusterReachabilityExpectation",
        "metadata": {"name": "by-name"},
        "spec": {"to": [{"service": {"namespace": "shop", "name": "db", "via": "name"}}], "expect": "allow"},
    }
)


def test_a_service_is_asked_for_by_its_name_in_the_domain_of_the_cluster() -> None:
    snapshot = structs.replace(SNAPSHOT, expectations=(BY_NAME,))
    for domain in ("cluster.local", "example.internal"):
        wants = wants_in(structs.replace(snapshot, domain=domain), ExpectSettings())
        assert {want.target.host for want in wants.paths} == {f"db.shop.svc.{domain}"}


def test_canaries_are_wanted_with_and_without_declarations() -> None:
    (vantage, *_) = SNAPSHOT.vantages
    canary = Pod("netmatrix", "canary-1", ("10.99.0.1",), node=vantage.node, canary=True)
    snapshot = structs.replace(SNAPSHOT, pods=(*SNAPSHOT.pods, canary))
    alone = wants_in(snapshot, ExpectSettings()).paths
    assert {want.target.name for want in alone} == {"pod/netmatrix/canary-1"}
    both = wants_in(structs.replace(snapshot, expectations=(BY_NAME,)), ExpectSettings()).paths
    assert set(alone) < set(both)

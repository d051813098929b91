"""When other plans are needed, and when not."""

from msgspec.structs import replace

from collector.planning import LONGEST_REST_SECONDS, PLANNING_SHARE, Planning, rest_seconds
from collector.settings import PlanSettings
from tests.collector.small_cluster import SNAPSHOT


def planning() -> Planning:
    made = Planning(PlanSettings(), instance=1, now_ns=lambda: 10**18)
    made.compose(SNAPSHOT, generation=1)
    return made


def test_what_is_excluded_from_verdicts_alone_needs_no_other_plan() -> None:
    for word in ("not_ready", "settling"):
        marked = replace(SNAPSHOT.vantages[0], excluded=word)
        assert planning().is_planned(replace(SNAPSHOT, vantages=(marked, *SNAPSHOT.vantages[1:])))
    labelled = replace(SNAPSHOT.vantages[0], labels={"app": "other"}, annotations={"opencontrail.org/isolation": "true"})
    assert planning().is_planned(replace(SNAPSHOT, vantages=(labelled, *SNAPSHOT.vantages[1:])))
    cordoned = replace(SNAPSHOT.nodes[0], excluded="cordoned")
    assert planning().is_planned(replace(SNAPSHOT, nodes=(cordoned, *SNAPSHOT.nodes[1:])))


def test_one_that_terminates_or_has_another_uid_or_address_does() -> None:
    first, *others = SNAPSHOT.vantages
    for changed in (
        replace(first, excluded="terminating"),
        replace(first, uid="another"),
        replace(first, addresses=("10.30.1.99",)),
    ):
        assert not planning().is_planned(replace(SNAPSHOT, vantages=(changed, *others)))


def test_how_many_endpoints_there_are_needs_no_other_plan_but_whether_there_is_one_does() -> None:
    (service,) = SNAPSHOT.services
    made = Planning(PlanSettings(), instance=1, now_ns=lambda: 10**18)
    made.compose(replace(SNAPSHOT, services=(replace(service, endpoints=3),)), generation=1)
    assert made.is_planned(replace(SNAPSHOT, services=(replace(service, endpoints=2),)))
    for other in (0, None):
        assert not made.is_planned(replace(SNAPSHOT, services=(replace(service, endpoints=other),)))


def test_before_the_first_plan_nothing_is_planned() -> None:
    assert not Planning(PlanSettings(), instance=1, now_ns=lambda: 10**18).is_planned(SNAPSHOT)


def test_survive_20_a_cluster_that_never_rests_costs_its_share_and_a_small_one_does_not_wait() -> None:
    for spent in (0.001, 0.1, 2.0):
        assert spent / (spent + rest_seconds(spent)) < PLANNING_SHARE
    assert rest_seconds(0.01) < 1.0
    assert rest_seconds(100.0) == LONGEST_REST_SECONDS

"""All pairs at once are what each pair is alone."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.policy.ends import Connection, ContainerPort, Pod
from collector.policy.evaluate import Policies
from collector.policy.profile import PROFILES
from collector.policy.reach import ANSWERS, Reach
from collector.policy.rules import Opaque
from tests.collector.policy.cluster import STRICT, XA, XB, YA, YB, pod, read
from tests.collector.policy.drawn import cluster_policies, network_policies, opaque, pods_of_a_cluster
from wire.path import Family


@settings(deadline=None)
@given(
    pods=pods_of_a_cluster(),
    policies=st.lists(network_policies | cluster_policies, max_size=5),
    hidden=st.lists(opaque, max_size=1),
    profile=st.sampled_from(sorted(PROFILES)),
    family=st.sampled_from(Family),
)
def test_every_pair_of_pods_gets_the_answer_of_its_classes(
    pods: list[Pod], policies: list[Any], hidden: list[Opaque], profile: str, family: Family
) -> None:
    known = Policies(policies, hidden, PROFILES[profile])
    reach = Reach(known, pods, family)
    for place, (of, port) in enumerate(reach.points):
        for target, target_class in zip(reach.pods, reach.class_of, strict=True):
            for source, source_class in zip(reach.pods, reach.class_of, strict=True):
                if target_class == of and source != target:
                    decision = known.decide(source, target, Connection(port.protocol, port.port, family))
                    assert ANSWERS[reach.codes[source_class, place]] is decision.answer, (source, target, port, decision)


def test_pods_that_no_policy_tells_apart_are_one_class() -> None:
    twins = [pod(f"x/t{place}", f"10.0.9.{place}", labels={"app": "t", "own": f"{place}"}) for place in range(5)]
    assert Reach(Policies([], profile=STRICT), [XA, *twins]).class_of == [0, 0, 0, 0, 0, 0]
    about_a = "{netpol: x/p, spec: {podSelector: {matchLabels: {pod: a}}}}"
    assert Reach(Policies(read(about_a), profile=STRICT), [XA, *twins]).class_of == [0, 1, 1, 1, 1, 1]
    split = about_a + "\n---\n{netpol: y/p, spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.9.0/31}}]}]}}"
    assert Reach(Policies(read(split), profile=STRICT), [XA, *twins]).class_of == [0, 1, 1, 2, 2, 2]


def answers(reach: Reach) -> dict[tuple[str, str, ContainerPort], Any]:
    """The answer for each pair of pods and each port of the target."""
    return {
        (str(source), str(target), port): ANSWERS[reach.codes[source_class, place]]
        for place, (of, port) in enumerate(reach.points)
        for target, target_class in zip(reach.pods, reach.class_of, strict=True)
        for source, source_class in zip(reach.pods, reach.class_of, strict=True)
        if target_class == of and source != target
    }


@settings(deadline=None)
@given(
    pods=pods_of_a_cluster(),
    steps=st.lists(st.lists(network_policies | cluster_policies, max_size=4), min_size=2, max_size=4),
    hidden=st.lists(opaque, max_size=1),
    profile=st.sampled_from(sorted(PROFILES)),
)
def test_after_a_change_of_policies_the_answers_are_those_that_they_would_be_from_the_start(
    pods: list[Pod], steps: list[list[Any]], hidden: list[Opaque], profile: str
) -> None:
    named = [[replace(one, name=f"p{place}") for place, one in enumerate(step)] for step in steps]
    reach = Reach(Policies(named[0], hidden, PROFILES[profile]), pods)
    for step in named[1:]:
        known = Policies(step, hidden, PROFILES[profile])
        reach = reach.after(known)
        assert answers(reach) == answers(Reach(known, pods))


def test_after_a_change_of_the_profile_everything_is_asked_again() -> None:
    block = read("{netpol: x/p, spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}}")
    pods = [XA, XB, YA, YB]
    before = Reach(Policies(block, profile=PROFILES["cilium"]), pods)
    known = Policies(block, profile=PROFILES["calico"])
    assert answers(before.after(known)) == answers(Reach(known, pods)) != answers(before)


def test_pods_without_an_address_of_the_family_or_on_the_host_network_take_no_part() -> None:
    others = [pod("x/four", "10.0.9.1"), pod("x/host", "192.168.0.2", "fd00::9:2", node="n2", host_network=True)]
    reach = Reach(Policies([], profile=STRICT), [XA, XB, YA, YB, *others], Family.IPV6)
    assert [str(one) for one in reach.pods] == ["x/a", "x/b", "y/a", "y/b"]

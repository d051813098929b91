import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from agent.limits import PLACE_NS, PLACES_PER_PEER, Limits, PacketBudget, PeerBudget, Relief, admit
from tests.agent.plans import SECOND_NS, path, paths, planned
from wire.outcome import Outcome
from wire.path import Http, Icmp, Kind, Target, Tcp, Udp
from wire.plan import PlannedPath


def refused(one: PlannedPath, limits: Limits | None = None) -> dict[str, int]:
    return dict(admit([one], limits or Limits()).refused)


def test_an_ordinary_path_is_admitted() -> None:
    assert admit([planned()], Limits()).paths == (planned(),)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (planned(interval_ms=999), "interval"),
        (planned(interval_ms=1000, timeout_ms=5001), "timeout"),
        (planned(path(ask=Icmp(size=1473))), "size"),
        (planned(path(ask=Udp(port=8620, padding=1301))), "size"),
        (planned(path(ask=Icmp(packet_bytes=9217))), "size"),
        (planned(path(ask=Icmp(packet_bytes=27))), "size"),
        (planned(path(ask=Udp(port=8620, packet_bytes=9217))), "size"),
        (planned(path(ask=Udp(port=8620, packet_bytes=100))), "size"),
        (planned(path(ask=Http(port=80, method="POST"))), "method"),
        (planned(path(address="127.0.0.1")), "address_loopback"),
        (planned(path(address="169.254.169.254")), "address_metadata"),
        (planned(path(address="::ffff:169.254.169.254")), "address_metadata"),
        (planned(path(address="224.0.0.1")), "address_multicast"),
        (planned(path(address="0.0.0.0")), "address_unspecified"),
        (planned(path(address="255.255.255.255")), "address_broadcast"),
    ],
)
def test_survive_56_a_malicious_path_is_refused_with_its_reason(one: PlannedPath, reason: str) -> None:
    assert refused(one) == {reason: 1}


@pytest.mark.parametrize("ask", [Icmp(packet_bytes=9000), Udp(port=8620, packet_bytes=9000)])
def test_a_packet_as_long_as_a_jumbo_frame_may_be_planned(ask: Icmp | Udp) -> None:
    assert refused(planned(path(ask=ask))) == {}


def test_loopback_is_only_probed_where_the_process_permits_it() -> None:
    assert refused(planned(path(address="127.0.0.2")), Limits(allow_loopback=True)) == {}


def test_a_resolver_on_a_link_local_address_may_be_probed_on_its_port_alone() -> None:
    limits = Limits(resolvers=frozenset({"169.254.20.10"}))
    assert refused(planned(path(address="169.254.20.10", ask=Tcp(port=53))), limits) == {}
    assert refused(planned(path(address="169.254.20.10", ask=Tcp(port=80))), limits) == {"address_link_local": 1}


def test_survive_56_a_plan_of_ten_thousand_paths_runs_at_the_packets_a_second_of_the_process() -> None:
    many = [planned(structs.replace(one.path, target=structs.replace(one.path.target, peer="p"))) for one in paths(2000)]
    admitted = admit(many, Limits(max_pps=100))
    assert len(admitted.paths) == 100
    assert admitted.refused == {"budget": 1900}


def test_survive_56_a_plan_of_too_many_peers_keeps_as_many_as_the_process_allows() -> None:
    admitted = admit(paths(400, interval_ms=60_000), Limits(max_peers=256))
    assert len({one.path.target.peer for one in admitted.paths}) == 256
    assert admitted.refused == {"peers": 144}


def test_which_paths_do_not_fit_does_not_depend_on_their_order() -> None:
    many = paths(300)
    assert admit(many, Limits()) == admit(many[::-1], Limits())


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 400_000_000), st.integers(1, 6)), max_size=60), st.integers(6, 20))
def test_no_second_ever_has_more_packets_than_the_budget(steps: list[tuple[int, int]], most: int) -> None:
    budget, now = PacketBudget(most), 0
    taken: list[tuple[int, int]] = []
    for step, packets in steps:
        now += step
        if budget.take(packets, now):
            taken.append((now, packets))
        else:
            assert sum(n for at, n in taken if now - at < SECOND_NS) + packets > most
    for start, _ in taken:
        assert sum(n for at, n in taken if start <= at < start + SECOND_NS) <= most


def target(peer: str, address: str = "10.0.0.1") -> Target:
    return Target("pod/shop/cart-0", peer, address=address)


def test_survive_56_no_minute_has_more_peers_than_the_budget_however_plans_change() -> None:
    budget = PeerBudget(3)
    assert [budget.take(target(peer), 0) for peer in "abcda"] == [True, True, True, False, True]
    assert not budget.take(target("d"), 59 * SECOND_NS + PLACE_NS)
    assert budget.take(target("d"), 60 * SECOND_NS + PLACE_NS)


def test_a_peer_that_is_sent_to_all_the_time_keeps_its_place() -> None:
    budget = PeerBudget(1)
    assert budget.take(target("a"), 0)
    assert budget.take(target("a"), 50 * SECOND_NS)
    assert not budget.take(target("b"), 70 * SECOND_NS)


def test_survive_57_a_thousand_hosts_under_one_name_are_not_one_peer() -> None:
    budget = PeerBudget(2)
    taken = [budget.take(target("a", f"10.0.{i // 200}.{i % 200 + 1}"), 0) for i in range(1000)]
    assert sum(taken) == 2 * PLACES_PER_PEER
    named_alike = [planned(path(address=f"10.0.0.{i}", peer="a"), interval_ms=60_000) for i in range(1, 100)]
    assert admit(named_alike, Limits(max_peers=2)).refused == {"peers": 99 - 2 * PLACES_PER_PEER}


def test_survive_31_a_kind_without_ports_is_withheld_ever_longer_and_then_tried_again() -> None:
    relief = Relief()
    relief.take(Kind.TCP, Outcome.NO_PORT, 0)
    relief.take(Kind.TCP, Outcome.NO_PORT, 1)
    assert relief.withheld(Kind.TCP, SECOND_NS - 1) is Outcome.NO_PORT
    assert relief.withheld(Kind.UDP, 1) is None
    assert relief.withheld(Kind.TCP, SECOND_NS) is None
    relief.take(Kind.TCP, Outcome.NO_PORT, SECOND_NS)
    assert relief.withheld(Kind.TCP, 3 * SECOND_NS - 1) is Outcome.NO_PORT
    relief.take(Kind.TCP, None, 3 * SECOND_NS)
    relief.take(Kind.TCP, Outcome.NO_PORT, 4 * SECOND_NS)
    assert relief.withheld(Kind.TCP, 5 * SECOND_NS) is None


def test_a_loss_in_the_network_is_no_shortage() -> None:
    relief = Relief()
    relief.take(Kind.TCP, Outcome.TIMEOUT, 0)
    assert relief.withheld(Kind.TCP, 0) is None

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.flight import MAX_LATE_NS, SETTLE_NS, Flights
from agent.probes.prober import Observation, Probe
from tests.agent.plans import SECOND_NS, answer, failure, path, probe
from wire.outcome import Outcome
from wire.path import Dns, Http, Kind
from wire.window import Timed

TIMEOUT = SECOND_NS
DEADLINE = TIMEOUT + MAX_LATE_NS
HTTP = path(ask=Http(port=80))


def launched(*probes: Probe, timeout_ns: int = TIMEOUT) -> Flights:
    flights = Flights()
    for one in probes or (probe(),):
        flights.launch([one], timeout_ns, 0)
    return flights


def landed(latency_ns: int, *, stalled_until: int | None = None, timed: Timed = Timed.KERNEL) -> Observation:
    """What becomes of a probe that is answered after so long."""
    one, flights = probe(), Flights()
    flights.launch([one], TIMEOUT, 0)
    if stalled_until is not None:
        flights.interrupt(stalled_until)
    (observation,) = flights.land([answer(one, latency_ns, timed=timed)])
    assert len(flights) == 0
    return observation


def words(observations: list[Observation]) -> list[Outcome | None]:
    return [observation.outcome for observation in observations]


def test_the_silence_of_a_name_server_has_a_word_of_its_own() -> None:
    flights = launched(probe(path(ask=Dns("www.example.test."))))
    assert words(flights.overdue(DEADLINE)) == [Outcome.DNS_TIMEOUT]


def test_an_answer_in_time_is_a_latency() -> None:
    assert (landed(TIMEOUT).latency_ns, landed(TIMEOUT).outcome) == (TIMEOUT, None)


def test_an_answer_after_the_waiting_time_is_late_and_no_latency() -> None:
    assert (landed(TIMEOUT + 1).latency_ns, landed(TIMEOUT + 1).outcome) == (None, Outcome.LATE)


def test_a_probe_without_an_answer_is_lost_when_late_answers_are_over_and_not_before() -> None:
    flights = launched()
    assert flights.overdue(DEADLINE - 1) == []
    assert words(flights.overdue(DEADLINE)) == [Outcome.TIMEOUT]
    assert flights.overdue(10 * DEADLINE) == []


def test_the_wait_for_late_answers_is_never_longer_than_the_timeout() -> None:
    assert words(launched(timeout_ns=10).overdue(20)) == [Outcome.TIMEOUT]


def test_a_second_fate_of_the_same_probe_is_ignored() -> None:
    one = probe()
    flights = launched(one)
    flights.land([failure(one, Outcome.REFUSED)])
    assert flights.land([answer(one)]) == []
    assert flights.overdue(DEADLINE) == []


def test_survive_08_a_probe_whose_time_ran_out_while_we_stood_still_is_paused() -> None:
    flights = launched()
    flights.interrupt(3 * SECOND_NS)
    assert words(flights.overdue(3 * SECOND_NS)) == [Outcome.PAUSED]


def test_survive_08_an_answer_that_lay_in_the_socket_meanwhile_counts_by_the_stamp_of_the_kernel() -> None:
    assert landed(5_000_000, stalled_until=3 * SECOND_NS).latency_ns == 5_000_000


def test_survive_08_a_time_by_our_own_clock_over_a_stall_is_worth_nothing() -> None:
    assert landed(400_000_000, stalled_until=400_000_000, timed=Timed.USER).outcome is Outcome.PAUSED


def test_a_late_answer_over_a_stall_is_not_blamed_on_the_network() -> None:
    assert landed(2 * TIMEOUT, stalled_until=3 * SECOND_NS).outcome is Outcome.PAUSED


def test_a_probe_that_had_its_whole_time_after_the_stall_is_lost_all_the_same() -> None:
    flights = launched()
    flights.interrupt(DEADLINE - SETTLE_NS - 1)
    assert words(flights.overdue(DEADLINE)) == [Outcome.TIMEOUT]


def test_an_exchange_of_several_steps_is_paused_by_a_stall_in_any_of_them() -> None:
    flights = launched(probe(HTTP))
    flights.interrupt(400_000_000)
    assert words(flights.overdue(DEADLINE)) == [Outcome.PAUSED]


def test_a_stall_before_the_launch_is_no_excuse() -> None:
    flights = Flights()
    flights.interrupt(0)
    flights.launch([probe()], TIMEOUT, 0)
    assert words(flights.overdue(DEADLINE)) == [Outcome.TIMEOUT]


def test_survive_06_a_machine_that_slept_knows_nothing_of_its_probes() -> None:
    flights = launched(probe(), probe(HTTP, 2))
    assert words(flights.abandon()) == [Outcome.PAUSED, Outcome.PAUSED]
    assert flights.overdue(10 * DEADLINE) == []


def test_the_kinds_in_flight_are_known() -> None:
    flights = launched(probe(HTTP))
    assert flights.kinds() == {Kind.HTTP}
    flights.overdue(DEADLINE)
    assert flights.kinds() == frozenset()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 20), st.integers(0, 10**9)), max_size=60))
def test_every_probe_is_judged_exactly_once(steps: list[tuple[int, int, int]]) -> None:
    flights, now = Flights(), 0
    probes = {number: probe(number=number) for number in range(1, 21)}
    sent: set[int] = set()
    judged: list[Observation] = []
    for what, number, step in steps:
        now += step
        if what == 0 and number not in sent:
            sent.add(number)
            flights.launch([probes[number]], TIMEOUT, now)
        elif what == 1:
            judged += flights.land([answer(probes[number])])
        elif what == 2:
            flights.interrupt(now)
        elif what == 3:
            judged += flights.overdue(now)
        assert len(flights) == len(sent) - len(judged)
    judged += flights.overdue(now + 2 * DEADLINE)
    assert sorted(observation.probe.number for observation in judged) == sorted(sent)


def test_probes_that_left_together_are_judged_one_by_one() -> None:
    probes = [probe(number=number) for number in range(3)]
    flights = Flights()
    flights.launch(probes, TIMEOUT, 0)
    assert [observation.probe for observation in flights.land([answer(probes[1]), answer(probes[1])])] == [probes[1]]
    assert [observation.probe for observation in flights.overdue(DEADLINE)] == [probes[0], probes[2]]

from agent.health import BEAT_NS, ILL_STALL_NS, Pulse, Vitals, illness, throttled_ns
from tests.agent.plans import SECOND_NS
from wire.report import Health


def test_jitter_of_a_shared_machine_is_no_illness() -> None:
    assert illness(Health(loop_lag_p99_ns=80_000_000, loop_lag_max_ns=250_000_000, throttled_ns=10**9), 10 * SECOND_NS) is None


def test_survive_08_a_stall_of_a_second_is_an_illness() -> None:
    assert illness(Health(loop_lag_max_ns=ILL_STALL_NS), 10 * SECOND_NS) == "stalled"


def test_survive_08_throttling_for_a_fifth_of_the_span_is_an_illness() -> None:
    assert illness(Health(throttled_ns=2 * SECOND_NS), 10 * SECOND_NS) == "throttled"
    assert illness(Health(throttled_ns=0), 0) is None


def test_survive_06_a_suspended_machine_is_an_illness() -> None:
    assert illness(Health(suspended_ns=SECOND_NS), 10 * SECOND_NS) == "suspended"


def test_the_lag_is_how_late_the_loop_woke() -> None:
    pulse = Pulse(0)
    pulse.beat(BEAT_NS + 5_000_000)
    pulse.beat(2 * BEAT_NS + 5_000_000)
    p99_ns, max_ns = pulse.cut(2 * BEAT_NS + 5_000_000)
    assert max_ns == 5_000_000
    assert 0 < p99_ns <= max_ns
    assert pulse.cut(2 * BEAT_NS + 5_000_000) == (0, 0)


def test_survive_08_a_stall_counts_in_the_span_that_it_happened_in_even_where_the_cut_wakes_first() -> None:
    pulse = Pulse(0)
    assert pulse.cut(3 * SECOND_NS)[1] == 3 * SECOND_NS - BEAT_NS
    pulse.beat(3 * SECOND_NS)
    assert pulse.cut(3 * SECOND_NS)[1] == 0


def test_throttling_is_read_from_both_versions_of_control_groups() -> None:
    assert throttled_ns("usage_usec 5\nnr_throttled 1\nthrottled_usec 12\n") == 12_000
    assert throttled_ns("nr_periods 5\nnr_throttled 1\nthrottled_time 12\n") == 12
    assert throttled_ns("usage_usec 5\n") == 0
    assert throttled_ns("throttled_usec x\n\n  garbage \n") == 0


def test_our_own_vitals_are_real_figures() -> None:
    health = Vitals().cut(Pulse(0), 0)
    assert 1_000_000 < health.resident_bytes < 2**34
    assert health.suspended_ns == 0

from agent.app import PLAN_WITHIN_NS, missing


def test_an_agent_is_ready_with_its_first_plan() -> None:
    assert missing(leaving=False, planned=False, age_ns=0) == "no plan yet"
    assert missing(leaving=False, planned=True, age_ns=0) is None


def test_without_a_collector_it_is_ready_in_the_end_so_that_a_roll_goes_on() -> None:
    assert missing(leaving=False, planned=False, age_ns=PLAN_WITHIN_NS - 1) == "no plan yet"
    assert missing(leaving=False, planned=False, age_ns=PLAN_WITHIN_NS) is None


def test_an_agent_that_leaves_is_not_ready() -> None:
    assert missing(leaving=True, planned=True, age_ns=PLAN_WITHIN_NS) == "leaving"

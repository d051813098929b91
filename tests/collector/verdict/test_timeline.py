from collector.verdict.hold import Phase
from collector.verdict.timeline import FIRST, MOST, Standing, Timeline, What, followed

PENDING = Standing(Phase.PENDING, 1, ("node", "n2"), "n2 loses 4 %.")
FIRING = PENDING._replace(phase=Phase.FIRING)
RESOLVING = PENDING._replace(phase=Phase.RESOLVING)
CLOSED = PENDING._replace(phase=Phase.CLOSED)


def words(*standings: Standing) -> list[tuple[int, str]]:
    line = Timeline()
    for number, standing in enumerate(standings):
        line = followed(line, standing, 10 + number)
    return [(step.at_ns, step.what.value) for step in line.steps]


def test_it_begins_when_the_incident_was_first_seen_and_ends_with_its_end() -> None:
    assert words(PENDING, PENDING, FIRING, FIRING, RESOLVING, CLOSED) == [
        (1, "opened"),
        (12, "fired"),
        (14, "not seen any more"),
        (15, "resolved"),
    ]


def test_numbers_that_change_are_no_step_and_another_component_is() -> None:
    more = PENDING._replace(sentence="n2 loses 5 %.")
    other = more._replace(subject=("zone_pair", "z1>z2"))
    assert words(PENDING, more, other) == [(1, "opened"), (12, "refined")]


def test_an_incident_that_is_seen_again_says_so() -> None:
    assert [what for _, what in words(PENDING, FIRING, RESOLVING, FIRING, RESOLVING, CLOSED)] == [
        "opened",
        "fired",
        "not seen any more",
        "seen again",
        "not seen any more",
        "resolved",
    ]


def test_a_wider_one_that_explains_it_is_named_for_as_long_as_it_does() -> None:
    line = Timeline()
    for standing in (FIRING, FIRING._replace(inhibited_by="00ff"), FIRING):
        line = followed(line, standing, 10)
    assert [(step.what, step.words) for step in line.steps[1:]] == [(What.EXPLAINED, "00ff"), (What.ON_ITS_OWN, "")]


def test_of_a_flapping_one_the_beginning_and_the_latest_stay() -> None:
    line = Timeline()
    for number in range(200):
        line = followed(line, (FIRING, RESOLVING)[number % 2], number)
    assert len(line.steps) == MOST
    assert line.steps[0].what is What.OPENED
    assert [step.at_ns for step in line.steps[FIRST:]] == list(range(200 - MOST + FIRST, 200))

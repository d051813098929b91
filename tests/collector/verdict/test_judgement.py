from collector.verdict.hold import Phase
from collector.verdict.judgement import MOST_CLOSED, Judgement, following
from tests.collector.incidents import DEAD, JUDGED, LOSSY


def after(before: Judgement, *told: Phase, now_ns: int = 1) -> Judgement:
    incidents = [DEAD._replace(phase=phase) for phase in told]
    return following(before, incidents, now_ns=now_ns, cells=10, judged=9, took_seconds=0.1)


def test_what_fires_or_resolves_is_open_and_opened_once() -> None:
    one = after(after(after(Judgement(), Phase.PENDING), Phase.FIRING), Phase.RESOLVING)
    assert [incident.phase for incident in one.incidents] == [Phase.RESOLVING]
    assert one.opened == {("node", "unreachable"): 1}


def test_what_comes_again_after_it_was_closed_has_opened_twice() -> None:
    one = after(after(after(Judgement(), Phase.FIRING), Phase.CLOSED), Phase.FIRING)
    assert one.opened == {("node", "unreachable"): 2}
    assert len(one.closed) == 1


def test_only_so_many_that_are_over_are_remembered() -> None:
    one = Judgement()
    for number in range(MOST_CLOSED + 10):
        one = after(one, Phase.CLOSED, now_ns=number)
    assert len(one.closed) == MOST_CLOSED
    assert one.closed[0].closed_ns == MOST_CLOSED + 9


def test_the_state_follows_from_what_is_open() -> None:
    assert Judgement().state == "unknown"
    assert after(Judgement(), Phase.PENDING).state == "ok"
    assert after(Judgement(), Phase.FIRING).state == "broken"
    assert JUDGED._replace(incidents=(LOSSY,)).state == "degraded"


def test_the_sentence_is_that_of_the_worst_and_says_how_many_more() -> None:
    assert JUDGED._replace(incidents=(LOSSY, DEAD)).sentence == "Node n3 is unreachable. And 1 more."
    assert JUDGED._replace(incidents=()).sentence == "No incident; 90 of 100 paths could be judged."

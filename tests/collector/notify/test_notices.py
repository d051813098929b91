from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from collector.notify.notices import CALM_NS, LONGEST, RECALLED_NS, Ledger, Notice, Status, followed, values
from collector.receivers import VALUES
from collector.verdict.hold import Phase
from collector.verdict.incident import MOST, Incident
from tests.collector.notify.telling import HOSTILE, SECOND, incident


class Story:
    """Passes, five seconds apart."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.now_ns = 200 * SECOND
        self.news: list[tuple[str, str]] = []
        self.notices: list[Notice] = []

    def passes(self, *incidents: Incident, times: int = 1, seconds: int = 5) -> Sequence[tuple[str, str]]:
        """What is told in these."""
        told = []
        for _ in range(times):
            now = 1_800_000_000 + self.now_ns / SECOND
            news, self.ledger = followed(incidents, self.ledger, self.now_ns, now=now, cluster="c1")
            self.notices += news
            told += [(notice.id, notice.status.value) for notice in news]
            self.now_ns += seconds * SECOND
        self.news += told
        return told


def test_an_incident_is_told_once_and_its_end_once() -> None:
    story = Story()
    assert story.passes(incident(phase=Phase.PENDING), times=3) == []
    assert story.passes(incident(), times=10) == [("i1", "firing")]
    assert story.passes(incident(phase=Phase.RESOLVING), times=3) == []
    assert story.passes(incident(), times=3) == []
    assert story.passes(incident(phase=Phase.CLOSED)) == [("i1", "resolved")]
    assert story.passes(times=3) == []


def test_one_that_is_no_longer_heard_of_is_over() -> None:
    story = Story()
    story.passes(incident("a"), incident("b"))
    assert story.passes(incident("b")) == [("a", "resolved")]
    first, _, last = story.notices
    assert (first.since, first.closed) == (1_800_000_100, None)
    assert (last.since, last.closed) == (1_800_000_100, 1_800_000_205)


def test_a_recurrence_is_told_again() -> None:
    story = Story()
    story.passes(incident())
    story.passes()
    assert story.passes(incident()) == [("i1", "firing")]


def test_one_that_a_wider_one_explains_is_not_told() -> None:
    story = Story()
    wide, narrow = incident("wide"), incident("narrow", kind="pair", inhibited_by="wide")
    assert story.passes(wide, narrow, times=20) == [("wide", "firing")]
    assert story.passes(narrow._replace(inhibited_by="", phase=Phase.RESOLVING), times=6) == [("wide", "resolved")]
    assert story.passes() == []


def test_one_that_goes_on_alone_is_told_after_a_while() -> None:
    story = Story()
    narrow = incident("narrow", inhibited_by="wide")
    story.passes(narrow, times=3)
    calm = CALM_NS // SECOND // 5
    assert story.passes(narrow._replace(inhibited_by=""), times=calm - 1) == []
    assert story.passes(narrow._replace(inhibited_by="")) == [("narrow", "firing")]


def test_one_that_was_told_before_it_was_explained_is_followed_to_its_end() -> None:
    story = Story()
    story.passes(incident())
    assert story.passes(incident(inhibited_by="wide"), times=3) == []
    assert story.passes() == [("i1", "resolved")]


def test_what_it_is_called_stays_while_what_is_said_of_it_changes() -> None:
    story = Story()
    story.passes(incident())
    before = story.ledger.told["i1"]
    story.passes(incident(severity="critical", component="n4", effect="unreachable", sentence="All is lost.", since_ns=0))
    after = story.ledger.told["i1"]
    assert (after.labels, after.alert, after.since) == (before.labels, before.alert, before.since)
    assert after.sentence == "All is lost."


def test_after_a_restart_the_same_incident_has_the_same_labels() -> None:
    one, other = Story(), Story()
    one.passes(incident(since_ns=100 * SECOND))
    other.passes(incident(since_ns=170 * SECOND, sentence="60.0% of probes to node n3 are lost.", loss=0.6))
    assert one.ledger.told["i1"].labels == other.ledger.told["i1"].labels


def test_labels_are_those_that_are_known() -> None:
    story = Story()
    story.passes(incident(owner="team-a"))
    (notice,) = story.notices
    assert notice.labels == {
        "alertname": "NetmatrixPathLossHigh",
        "id": "i1",
        "kind": "node",
        "component": "n3",
        "layer": "pod",
        "direction": "in",
        "effect": "loss",
        "severity": "warning",
        "owner": "team-a",
        "cluster": "c1",
    }


def test_survive_59_nothing_unprintable_and_nothing_endless_is_told() -> None:
    story = Story()
    story.passes(incident(component=HOSTILE * 200, owner=HOSTILE, sentence=HOSTILE * 10_000))
    (notice,) = story.notices
    texts = [*notice.labels.values(), notice.sentence]
    assert all(text.isprintable() for text in texts)
    assert max(map(len, notice.labels.values())) == LONGEST["label"]
    assert len(notice.sentence) == LONGEST["sentence"]
    assert notice.sentence.endswith("...")


def test_a_template_has_a_value_for_every_place() -> None:
    story = Story()
    story.passes(incident())
    story.passes()
    for notice in story.notices:
        assert set(values(notice, runbook="r", url="")) == set(VALUES)
    assert values(story.notices[1], runbook="", url="")["seconds"] == 105


def test_a_severity_that_is_not_known_is_the_gravest() -> None:
    story = Story()
    story.passes(incident("a"), incident("b", severity="fatal"))
    assert [notice.severity for notice in story.notices] == [1, 2]


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.tuples(st.sampled_from([*Phase]), st.sampled_from(["", "w"])), max_size=3),
        max_size=40,
    )
)
def test_whatever_happens_what_opens_and_what_is_over_alternate(passes: list[dict[str, tuple[Phase, str]]]) -> None:
    story = Story()
    for current in passes:
        story.passes(*(incident(id_, phase=phase, inhibited_by=by) for id_, (phase, by) in current.items()), seconds=20)
        assert story.ledger.told.keys() <= current.keys()
        assert story.ledger.told.keys().isdisjoint(story.ledger.explained)
        assert len(story.ledger.told) <= MOST
    for id_ in "abc":
        words = [word for told, word in story.news if told == id_]
        assert words[::2] == [Status.FIRING.value] * len(words[::2])
        assert words[1::2] == [Status.RESOLVED.value] * len(words[1::2])


def recalled(*notices: Notice) -> Story:
    """A story that begins with what another process has told."""
    story = Story()
    story.ledger = Ledger({one.id: one for one in notices}, recalled=dict.fromkeys(one.id for one in notices))
    return story


def test_what_the_process_before_has_told_is_not_told_again_when_it_is_found_again() -> None:
    before = Story()
    before.passes(incident(since_ns=100 * SECOND))
    told = before.ledger.told["i1"]
    story = recalled(told)
    assert story.passes(times=6) == [], "nothing is found yet, and nothing is over"
    assert story.passes(incident(since_ns=170 * SECOND), times=3) == []
    assert story.ledger.told["i1"].since == told.since
    assert story.passes() == [("i1", "resolved")]


def test_what_the_process_before_has_told_and_nobody_finds_again_is_over_after_a_while_and_once() -> None:
    before = Story()
    before.passes(incident())
    story = recalled(before.ledger.told["i1"])
    quiet = RECALLED_NS // (5 * SECOND)
    assert story.passes(times=quiet) == []
    assert story.passes(times=3) == [("i1", "resolved")]

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import MultiDict

from collector.api.question import FILTERS, QuestionError, count, dimensions, parameters, span_ns, wanted
from collector.matrix.query import Wanted

SECOND = 10**9

REFUSED = {
    "an unknown parameter": ([("colour", "red")], f"unknown parameter; allowed are {', '.join(FILTERS)}"),
    "one given twice": ([("layer", "pod"), ("layer", "host")], "layer is given twice"),
    "a layer that is none": ([("layer", "cake")], "layer must be one of pod, host, service, dns, external, mtu"),
    "a name that is none": ([("from", "<script>")], "from must be a name"),
    "a name too long": ([("to", "a" * 254)], "to must be a name"),
}


@pytest.mark.parametrize(("query", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_bad_parameter_gets_a_sentence_that_says_what_is_allowed(query: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(QuestionError) as caught:
        parameters(MultiDict(query), FILTERS)
    assert str(caught.value).startswith(sentence)


def test_empty_parameters_are_no_filters() -> None:
    found = parameters(MultiDict({"layer": "", "from": "n1", "kind": "udp", "network": "storage"}), FILTERS)
    assert wanted(found) == Wanted(source="n1", kind="udp", network="storage")


@pytest.mark.parametrize(
    ("found", "expected"),
    [({}, 60 * SECOND), ({"span": "5s"}, 5 * SECOND), ({"span": "5m"}, 300 * SECOND), ({"totals": "true"}, None)],
)
def test_spans(found: dict[str, str], expected: int | None) -> None:
    assert span_ns(found, retention_ns=300 * SECOND) == expected


@pytest.mark.parametrize(
    "found", [{"span": "0s"}, {"span": "6m"}, {"span": "-1s"}, {"span": "nan"}, {"span": "5s", "totals": "true"}]
)
def test_spans_that_cannot_be_answered_are_refused(found: dict[str, str]) -> None:
    with pytest.raises(QuestionError):
        span_ns(found, retention_ns=300 * SECOND)


def test_the_default_span_never_exceeds_the_retention() -> None:
    assert span_ns({}, retention_ns=10 * SECOND) == 10 * SECOND


def test_dimensions() -> None:
    assert dimensions("node") == ("node", "node")
    assert dimensions("service") == ("node", "service")
    assert dimensions("zone:service") == ("zone", "service")
    for by in ("colour", "node:colour", ":node", "a:b:c"):
        with pytest.raises(QuestionError):
            dimensions(by)


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1e3", "٣", "1" * 5000])
def test_counts_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(QuestionError):
        count({"k": text}, "k", default=20, most=1000)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([*FILTERS, "x"]), st.text(max_size=20)), max_size=4))
def test_any_query_is_a_question_or_one_sentence(pairs: list[tuple[str, str]]) -> None:
    sentence = ""
    try:
        found = parameters(MultiDict(pairs), FILTERS)
        wanted(found)
        span_ns(found, retention_ns=300 * SECOND)
    except QuestionError as error:
        sentence = str(error)
    assert "\n" not in sentence

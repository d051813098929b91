import json
from html import escape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.template import MAX_BYTES, MAX_PLACES, Template, Value

NAMES = ("sentence", "status", "loss", "owner")
VALUES: dict[str, Value] = {"sentence": "12 % are lost", "status": "firing", "loss": 0.125, "owner": ""}
HOSTILE = ('"}, "channel": "#other', "\\", "\n\r\0", "{{ status }}", "</script>", "\u2028", "{{", "${x}", "%s")


def filled(tree: Any, **values: Any) -> Any:
    return json.loads(Template(tree, NAMES).fill({**VALUES, **values}))


def test_a_value_stands_in_its_place() -> None:
    tree = {"text": "now: {{ sentence }}!", "list": ["{{status}}", 7, None, True], "in": {"deep": "{{ owner }}"}}
    expected = {"text": "now: 12 % are lost!", "list": ["firing", 7, None, True], "in": {"deep": ""}}
    assert filled(tree) == expected


def test_a_number_alone_stays_one() -> None:
    assert filled({"loss": "{{ loss }}", "text": "loss {{ loss }}"}) == {"loss": 0.125, "text": "loss 0.125"}


def test_a_word_stands_for_another() -> None:
    tree = {"do": "{{ status | firing=trigger | resolved=resolve }}", "color": "{{ status | resolved=green | red }}"}
    assert filled(tree) == {"do": "trigger", "color": "red"}
    assert filled(tree, status="resolved") == {"do": "resolve", "color": "green"}
    assert filled(tree, status="odd") == {"do": "odd", "color": "red"}


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ("{{ sentnce }}", "there is no value sentnce; there are loss, owner, sentence, status"),
        ("{{ sentence.__class__ }}", "there is no value sentence.__class__"),
        ("{{ }}", "there is no value "),
        ("{{ sentence", "no end"),
        ("sentence }}", "no end"),
        ("{{ status | a | b=c }}", "a has no =, and is not the last choice of status"),
        (["{{status}}" * (MAX_PLACES + 1)], "more than 64 places"),
        ("x" * MAX_BYTES, "longer than 16384 bytes"),
    ],
)
def test_what_is_no_template_is_refused_in_a_sentence(tree: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Template(tree, NAMES)


@pytest.mark.parametrize("value", HOSTILE)
def test_survive_59_no_value_leaves_the_text_that_it_stands_in(value: str) -> None:
    found = filled({"text": "a {{ sentence }} b", "channel": "#mine"}, sentence=value)
    assert found == {"text": f"a {value} b", "channel": "#mine"}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(NAMES))
def test_any_text_comes_out_as_it_went_in(value: str, name: str) -> None:
    assert filled(["{{ %s }}" % name, "<{{%s}}>" % name], **{name: value}) == [value, f"<{value}>"]  # noqa: UP031 - braces


@given(st.text(alphabet="{}| =abstu", max_size=40))
def test_a_template_is_taken_or_refused_and_nothing_else(text: str) -> None:
    try:
        template = Template({"k": text}, NAMES)
    except ValueError:
        return
    json.loads(template.fill(VALUES))


def test_a_value_is_made_harmless_for_whoever_reads_the_text_and_the_text_is_left_alone() -> None:
    template = Template({"text": "<b>{{ sentence }}</b>"}, NAMES)
    assert json.loads(template.fill({**VALUES, "sentence": "<!channel>"}, escape=escape)) == {"text": "<b>&lt;!channel&gt;</b>"}

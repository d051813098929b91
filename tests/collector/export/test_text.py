from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector.export.names import Family
from collector.export.text import MAX_LABEL, RESERVED, Exposition, Kept, label_value

GAUGE = Family("netmatrix_a", "gauge", "Help.", ("name",))
OTHER = Family("netmatrix_b", "gauge", "Help.", ("name",))
HISTOGRAM = Family("netmatrix_h_seconds", "histogram", "Help.", ("name",))

SERIES = ("netmatrix_series", "")

HOSTILE = [
    '"} 1\nfake_metric{x="',
    "\\",
    '\\"',
    "a\nb",
    "\x1b[31mred",
    "\u202eevil",
    "",
    "😀" * 200,
    "\ud800",
    "=cmd()",
    "%s%d",
    "\r",
    "\x00",
]


def parsed(text: bytes) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("name", "")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_survive_59_no_label_value_breaks_out_of_its_line() -> None:
    text = Exposition(max_series=1000, kept=Kept())
    text.add(GAUGE, [(name,) for name in HOSTILE], range(len(HOSTILE)))
    found = parsed(text.render())
    assert {name for name, _ in found} == {"netmatrix_a", "netmatrix_series"}
    assert len(found) == len(HOSTILE) + 1
    assert found["netmatrix_a", HOSTILE[0]] == 0.0


@settings(max_examples=60)
@given(st.lists(st.text(max_size=300), unique=True, max_size=5))
def test_survive_59_any_distinct_texts_stay_distinct_and_come_back(texts: list[str]) -> None:
    text = Exposition(max_series=1000, kept=Kept())
    text.add(GAUGE, [(name,) for name in texts], [1] * len(texts))
    names = {name for metric, name in parsed(text.render()) if metric == "netmatrix_a"}
    assert len(names) == len({name.encode("utf-8", "replace") for name in texts})
    assert names >= {name for name in texts if len(name) <= MAX_LABEL and name.isprintable()}


def test_survive_36_label_values_are_at_most_128_characters_and_still_differ() -> None:
    one, other = label_value("a" * 200 + "1"), label_value("a" * 200 + "2")
    assert len(one) == len(other) == MAX_LABEL
    assert one != other
    assert label_value("a" * MAX_LABEL) == "a" * MAX_LABEL


def test_survive_35_the_cap_cuts_what_comes_last_and_counts_it() -> None:
    kept = Kept()
    for scrape in (1, 2):
        text = Exposition(max_series=RESERVED + 10, kept=kept)
        text.add(GAUGE, [(str(i),) for i in range(7)], range(7))
        text.add_histogram(HISTOGRAM, (0.1,), [(("x",), (1, 2), 0.5)])
        text.add(OTHER, [(str(i),) for i in range(7)], range(7))
        found = parsed(text.render())
        assert sum(name == "netmatrix_a" for name, _ in found) == 7
        assert not any(name.startswith("netmatrix_h") for name, _ in found)
        assert sum(name == "netmatrix_b" for name, _ in found) == 3
        assert kept.dropped == {"netmatrix_h_seconds": 4 * scrape, "netmatrix_b": 4 * scrape}


def test_histograms_are_cumulative_and_end_in_infinity() -> None:
    text = Exposition(max_series=1000, kept=Kept())
    text.add_histogram(HISTOGRAM, (0.1, 1.0), [(("x",), (1, 0, 2), 7.5)])
    lines = text.render().decode().splitlines()
    assert lines[2:7] == [
        'netmatrix_h_seconds_bucket{name="x",le="0.1"} 1',
        'netmatrix_h_seconds_bucket{name="x",le="1.0"} 1',
        'netmatrix_h_seconds_bucket{name="x",le="+Inf"} 3',
        'netmatrix_h_seconds_sum{name="x"} 7.5',
        'netmatrix_h_seconds_count{name="x"} 3',
    ]


def test_a_family_without_rows_is_left_out_and_none_is_no_series() -> None:
    text = Exposition(max_series=1000, kept=Kept())
    text.add(GAUGE, [], [])
    text.add(OTHER, [("x",)], [None])
    assert text.render().decode().splitlines()[0].startswith("# HELP netmatrix_series ")


def test_the_lines_of_a_family_are_kept_only_while_its_rows_are_the_same() -> None:
    kept = Kept()
    for keys in ([("a",), ("b",)], [("a",), ("b",)], [("b",), ("c",)], [("b",)], [("%s",), ("%a%%",)]):
        numbers = [hash(key) % 97 for key in keys]
        text = Exposition(max_series=1000, kept=kept)
        text.add(GAUGE, keys, numbers)
        found = parsed(text.render())
        assert found == {
            **{("netmatrix_a", key[0]): float(value) for key, value in zip(keys, numbers, strict=True)},
            SERIES: found[SERIES],
        }


@settings(max_examples=60)
@given(st.lists(st.one_of(st.integers(-(2**63), 2**63), st.floats(allow_nan=False)), min_size=1, max_size=5))
def test_every_number_is_read_back_as_it_was(numbers: list[float]) -> None:
    text = Exposition(max_series=1000, kept=Kept())
    text.add(GAUGE, [(str(place),) for place in range(len(numbers))], numbers)
    found = parsed(text.render())
    assert [float(found["netmatrix_a", str(place)]) for place in range(len(numbers))] == [float(value) for value in numbers]

"""Windows as columns and back, to the bit."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.wire.windows import windows
from wire.outcome import Outcome
from wire.report import DENSE, MAX_ENTRIES, MAX_FACT, MAX_FACTS, SPARSE, WIDTH, Columns, pack, unpack
from wire.window import FactName, Flag, Measure, Timed, Window

ONE = Window(
    path=0x0102030405060708,
    received=2,
    late=1,
    failed={Outcome.TIMEOUT: 3},
    local={Outcome.NO_FD: 4},
    latency={-80: 2},
    sum_ns=1_900_000,
    min_ns=940_000,
    max_ns=960_000,
    timed=Timed.KERNEL,
    flags=Flag.NAT,
    measures={Measure.FORWARD_LOST: 3},
    facts={FactName.SOURCE: "172.30.0.1"},
)


@given(st.lists(windows(), max_size=4))
def test_windows_that_are_packed_and_unpacked_are_the_same_windows_in_the_same_order(drawn: list[Window]) -> None:
    assert unpack(pack(drawn)) == drawn


@given(st.lists(windows(), max_size=4))
def test_columns_that_are_unpacked_and_packed_are_the_same_bytes(drawn: list[Window]) -> None:
    assert pack(unpack(pack(drawn))) == pack(drawn)


def test_columns_are_little_endian_arrays() -> None:
    columns = pack([ONE])
    assert columns.path == bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert columns.received == b"\x02\0\0\0"
    assert columns.latency_bucket == (-80).to_bytes(2, "little", signed=True)
    assert columns.outcome_code == bytes([Outcome.TIMEOUT, Outcome.NO_FD])
    assert columns.measure_value == (3).to_bytes(8, "little")
    assert columns.facts == ((0, "source", "172.30.0.1"),)
    assert len(columns) == 1


def test_a_type_code_has_the_width_that_the_wire_says() -> None:
    codes = set(DENSE.values()) | {code for group in SPARSE.values() for _, code in group}
    assert {code: array(code).itemsize for code in codes} == WIDTH


def test_every_column_but_the_facts_has_its_type_written_down() -> None:
    named = {*DENSE, *(name for group in SPARSE.values() for name, _ in group), "facts"}
    assert named == {field.name for field in structs.fields(Columns)}


@pytest.mark.parametrize("name", sorted(set(DENSE) - {"path"}))
@pytest.mark.parametrize("change", ["shorter", "longer", "absent"])
def test_a_dense_column_of_another_length_is_refused(name: str, change: str) -> None:
    column = getattr(pack([ONE]), name)
    wrong = {"shorter": column[:-1], "longer": column * 2, "absent": b""}[change]
    with pytest.raises(ValueError, match=f"column {name} has {len(wrong)} bytes, not {len(column)}"):
        structs.replace(pack([ONE]), **{name: wrong})


@pytest.mark.parametrize("name", [name for group in SPARSE.values() for name, _ in group])
@pytest.mark.parametrize("change", ["shorter", "longer", "absent"])
def test_a_sparse_column_of_another_length_than_its_group_is_refused(name: str, change: str) -> None:
    column = getattr(pack([ONE]), name)
    wrong = {"shorter": column[:-1], "longer": column * 2, "absent": b""}[change]
    with pytest.raises(ValueError, match="not of one length"):
        structs.replace(pack([ONE]), **{name: wrong})


def test_torn_elements_are_refused_also_where_all_columns_of_a_group_are_torn_alike() -> None:
    with pytest.raises(ValueError, match="not of one length"):
        structs.replace(pack([ONE]), latency_entry=b"\0\0", latency_bucket=b"\0", latency_count=b"\0\0")  # half an element each


def test_survive_49_a_row_of_an_entry_that_is_not_there_is_refused() -> None:
    far = array("I", [1]).tobytes()
    for name in ("outcome_entry", "latency_entry", "measure_entry"):
        column = getattr(pack([ONE]), name)
        with pytest.raises(ValueError, match="entry that is not there"):
            unpack(structs.replace(pack([ONE]), **{name: far * (len(column) // 4)}))
    with pytest.raises(ValueError, match="entry that is not there"):
        structs.replace(pack([ONE]), facts=((1, "source", "172.30.0.1"),))


@pytest.mark.parametrize("fact", [("source", "::1\n"), ("source", "\x1b[2J"), ("so\u00e9rce", "::1"), ("source", "\x7f")])
def test_a_fact_is_printable_or_the_report_is_none(fact: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="printable"):
        structs.replace(pack([ONE]), facts=((0, *fact),))


def test_survive_49_more_latencies_than_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 received, but 7 latencies"):
        unpack(structs.replace(pack([ONE]), latency_count=array("I", [7]).tobytes()))


def test_survive_24_codes_and_facts_of_a_later_version_are_skipped() -> None:
    columns = structs.replace(
        pack([ONE]),
        outcome_code=bytes([Outcome.TIMEOUT, 200]),
        measure_code=bytes([200]),
        timed=bytes([Timed.KERNEL | 64]),
        flags=bytes([Flag.NAT | 128]),
        facts=((0, "colour", "blue"), (0, "source", "172.30.0.1")),
    )
    assert unpack(columns) == [structs.replace(ONE, local={}, measures={})]


def test_more_windows_than_a_report_may_have_do_not_pack() -> None:
    assert len(pack([Window(1)] * MAX_ENTRIES)) == MAX_ENTRIES
    with pytest.raises(ValueError, match="20001 entries, more than 20000"):
        pack([Window(1)] * (MAX_ENTRIES + 1))


def test_a_count_that_does_not_fit_its_column_does_not_wrap_around() -> None:
    with pytest.raises(OverflowError):
        pack([Window(1, late=2**32)])


def test_facts_beyond_their_number_and_length_are_left_out() -> None:
    columns = pack([Window(i, facts={FactName.SOURCE: "a" * 500}) for i in range(MAX_FACTS + 5)])
    assert len(columns.facts) == MAX_FACTS
    assert {text for _, _, text in columns.facts} == {"a" * MAX_FACT}


def test_survive_59_what_a_hostile_peer_put_into_a_fact_is_made_printable() -> None:
    columns = pack([Window(1, facts={FactName.PEER_UID: 'a\n\x1b[31m"é\ud800'})])
    assert columns.facts == ((0, "peer_uid", 'a??[31m"??'),)

"""Whatever the bytes, a message is taken whole or refused with a word, in bounded time and memory."""

import copy
import gzip
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.windows import windows
from wire.burst import MAX_BURSTS, Burst
from wire.codec import (
    MAX_REPORT_BYTES,
    CodecError,
    compress,
    decode_acknowledgement,
    decode_plan,
    decode_report,
    decompress,
    encode,
)
from wire.path import Family, Http, Icmp, Layer, Path, Target, Tcp, Udp
from wire.plan import GroupKey, Identity, Plan, PlannedPath
from wire.report import Acknowledgement, Health, Report, pack
from wire.window import Window

TARGET = Target("pod/shop/cart-0", "n2", address="10.30.2.2", uid="b0c5")
PLAN = Plan(
    instance=1_795_000_000_000_000_000,
    generation=2,
    identity=Identity("n1", "n1", "z1", "netmatrix", "agent-n1", ("10.30.1.2",)),
    keys=(GroupKey(4, bytes(range(16))),),
    report_interval_ms=10_000,
    paths=tuple(
        PlannedPath(Path("n1", TARGET, Layer.POD, Family.IPV4, ask), 1000, 500)
        for ask in (Icmp(), Udp(8620), Tcp(8620), Http(8620, path="/echo"))
    ),
)
REPORT = Report(
    vantage="n1",
    instance=PLAN.instance,
    boot=bytes(16),
    sequence=7,
    acknowledged=6,
    generation=2,
    span_ns=10_000_000_000,
    age_ns=1_000_000,
    columns=pack([Window(1, received=1, latency={-80: 1}, sum_ns=960_000, min_ns=960_000, max_ns=960_000)]),
    health=Health(loop_lag_max_ns=3, unsupported=("icmp/ipv6",), refused={"peers": 2}),
)
DECODERS = (decode_plan, decode_report, decode_acknowledgement)
MAP_32, ARRAY_32, BIN_32, STR_32 = b"\xdf", b"\xdd", b"\xc6", b"\xdb"
"""Msgpack headers that announce up to 2^32 - 1 elements or bytes."""


def as_mapping(message: Plan | Report) -> dict[str, Any]:
    mapping = msgspec.msgpack.decode(encode(message))
    assert isinstance(mapping, dict)
    return mapping


def refused(decoder: Callable[[bytes], object], body: bytes) -> str:
    with pytest.raises(CodecError) as raised:
        decoder(body)
    return raised.value.reason


def test_what_is_encoded_decodes_to_the_same_value() -> None:
    assert decode_plan(encode(PLAN)) == PLAN
    assert decode_report(encode(REPORT)) == REPORT
    assert decode_acknowledgement(encode(Acknowledgement(1, 7))) == Acknowledgement(1, 7)


@given(st.lists(windows(), max_size=5))
def test_any_windows_survive_the_way_over_the_wire(drawn: list[Window]) -> None:
    report = msgspec.structs.replace(REPORT, columns=pack(drawn))
    assert decode_report(decompress(compress(encode(report)), limit=MAX_REPORT_BYTES)) == report


@given(st.binary(max_size=300))
def test_survive_50_any_bytes_are_a_message_or_are_refused(body: bytes) -> None:
    for decoder in DECODERS:
        try:
            decoder(body)
        except CodecError as error:
            assert error.reason == "malformed"  # noqa: PT017 - most draws are refused, and one that is taken is right too


@given(st.sampled_from([PLAN, REPORT]), st.integers(min_value=0), st.binary(min_size=1, max_size=8))
def test_survive_50_a_message_with_some_bytes_overwritten_is_a_message_or_is_refused(
    message: Plan | Report, place: int, junk: bytes
) -> None:
    body = encode(message)
    place %= len(body)
    damaged = body[:place] + junk + body[place + len(junk) :]
    try:
        decoded = decode_plan(damaged) if isinstance(message, Plan) else decode_report(damaged)
    except CodecError as error:
        assert error.reason == "malformed"  # noqa: PT017 - the same
    else:
        encode(decoded)


def test_an_acknowledgement_with_all_the_orders_it_can_have_is_read_by_the_first_agents_too() -> None:
    """They read 1,024 bytes, and leave out what they do not know."""
    most = Acknowledgement(2**63 - 1, 2**53, 2**53, tuple(Burst(2**64 - 1 - number) for number in range(MAX_BURSTS)))
    body = encode(most)
    assert decode_acknowledgement(body) == most
    assert len(body) <= 1024

    class First(msgspec.Struct):
        instance: int
        sequence: int
        generation: int = 0

    assert msgspec.msgpack.decode(body, type=First) == First(2**63 - 1, 2**53, 2**53)
    assert decode_acknowledgement(msgspec.msgpack.encode(First(1, 2, 3))) == Acknowledgement(1, 2, 3)


@pytest.mark.parametrize("message", [PLAN, REPORT, Acknowledgement(1, 7)])
def test_survive_50_a_message_cut_short_anywhere_is_refused(message: Plan | Report | Acknowledgement) -> None:
    decoder = {Plan: decode_plan, Report: decode_report, Acknowledgement: decode_acknowledgement}[type(message)]
    body = encode(message)
    assert {refused(decoder, body[:length]) for length in range(len(body))} == {"malformed"}


def test_survive_50_anything_after_the_message_is_refused() -> None:
    assert refused(decode_report, encode(REPORT) + b"\xc0") == "malformed"
    assert refused(decode_report, encode(REPORT) * 2) == "malformed"


def test_survive_50_a_message_longer_than_its_limit_is_refused_before_it_is_parsed() -> None:
    assert refused(decode_report, bytes(MAX_REPORT_BYTES + 1)) == "oversized"
    assert refused(decode_acknowledgement, bytes(1025)) == "oversized"


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": float("nan")},
        {"sequence": 1.0},
        {"sequence": 0},
        {"sequence": -1},
        {"sequence": 2**64 - 1},
        {"sequence": "7"},
        {"sequence": None},
        {"span_ns": float("inf")},
        {"span_ns": 0},
        {"age_ns": -1},
        {"age_ns": float("-inf")},
        {"boot": bytes(15)},
        {"boot": "0123456789abcdef"},
        {"vantage": ""},
        {"vantage": "n1\n"},
        {"vantage": b"n1"},
        {"columns": None},
        {"columns": []},
        {"columns": {"path": bytes(8)}},
        {"columns": {"path": [1]}},
        {"columns": {"facts": [[0, "source", "::1"]]}},
        {"columns": {"facts": [[0, "source"]]}},
        {"columns": {"facts": [[-1, "source", "::1"]]}},
        {"health": {"cpu_ns": -1}},
        {"health": {"cpu_ns": float("nan")}},
        {"health": {"unsupported": ["x" * 65]}},
        {"health": {"unsupported": ["icmp"] * 33}},
        {"health": {"refused": {f"r{i}": 1 for i in range(33)}}},
        {"health": {"refused": {"peers\n": 1}}},
        {"merged": 0},
        {"urgent": 1},
        {"version": 0},
    ],
)
def test_survive_50_a_field_of_a_wrong_type_or_value_is_refused(change: dict[str, object]) -> None:
    assert refused(decode_report, msgspec.msgpack.encode({**as_mapping(REPORT), **change})) == "malformed"


@pytest.mark.parametrize(
    "name", ["vantage", "instance", "boot", "sequence", "acknowledged", "generation", "span_ns", "columns"]
)
def test_a_report_without_a_required_field_is_refused(name: str) -> None:
    mapping = as_mapping(REPORT)
    del mapping[name]
    assert refused(decode_report, msgspec.msgpack.encode(mapping)) == "malformed"


def test_survive_50_text_that_is_not_utf_8_is_refused() -> None:
    body = encode(REPORT).replace(b"icmp/ipv6", b"icmp/\xff\xfe\xfd\xfc")
    assert refused(decode_report, body) == "malformed"


def test_survive_50_of_a_key_named_twice_one_value_counts_and_it_is_checked() -> None:
    body = encode(REPORT)
    pair = msgspec.msgpack.encode("sequence")
    fields = body[0] & 0x0F
    assert body[0] >> 4 == 0b1000, "a map with fewer than 16 keys"

    def twice(value: object) -> bytes:
        return bytes([0x80 | (fields + 1)]) + body[1:] + pair + msgspec.msgpack.encode(value)

    assert decode_report(twice(8)).sequence in {7, 8}
    assert refused(decode_report, twice(-1)) == "malformed"


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\x81"])
def test_survive_50_deep_nesting_is_refused(opening: bytes) -> None:
    """Also inside of a field that nobody knows, where it would be skipped."""
    deep = opening * 500_000 + b"\xc0"
    assert refused(decode_report, deep) == "malformed"
    unknown = msgspec.msgpack.encode({**as_mapping(REPORT), "unknown": None})
    assert refused(decode_report, unknown[:-1] + deep) == "malformed"


@pytest.mark.parametrize("header", [MAP_32, ARRAY_32, BIN_32, STR_32])
@pytest.mark.parametrize("place", ["whole", "columns", "path", "facts", "unsupported", "refused", "unknown"])
def test_survive_50_an_announced_length_is_never_allocated(header: bytes, place: str) -> None:
    huge = header + b"\xff\xff\xff\xff"
    marker = msgspec.msgpack.encode("the place")
    mapping = as_mapping(REPORT)
    changed: object = {
        "whole": "the place",
        "columns": {**mapping, "columns": "the place"},
        "path": {**mapping, "columns": {"path": "the place"}},
        "facts": {**mapping, "columns": {"facts": "the place"}},
        "unsupported": {**mapping, "health": {"unsupported": "the place"}},
        "refused": {**mapping, "health": {"refused": "the place"}},
        "unknown": {**mapping, "unknown": "the place"},
    }[place]
    body = msgspec.msgpack.encode(changed)
    assert marker in body
    tracemalloc.start()
    try:
        assert refused(decode_report, body.replace(marker, huge)) == "malformed"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


def test_survive_50_an_array_of_ten_million_elements_is_refused_by_its_size() -> None:
    assert refused(decode_report, ARRAY_32 + (10_000_000).to_bytes(4, "big") + bytes(10_000_000)) == "oversized"


def test_survive_50_the_explanation_quotes_nothing_of_what_was_sent() -> None:
    secret = "hunter2" * 3
    body = msgspec.msgpack.encode({**as_mapping(REPORT), "vantage": f" {secret}", secret: secret})
    with pytest.raises(CodecError) as raised:
        decode_report(body)
    assert "hunter2" not in str(raised.value)
    assert "vantage" in str(raised.value)


def test_survive_24_fields_and_a_version_of_a_later_release_are_read_as_far_as_they_are_known() -> None:
    later = {**as_mapping(REPORT), "version": 2, "colour": {"deep": [1, {"er": b"x"}]}}
    later["health"] = {**later["health"], "mood": "fine"}
    later["columns"] = {**later["columns"], "colour": bytes(8)}
    assert decode_report(msgspec.msgpack.encode(later)) == msgspec.structs.replace(REPORT, version=2)


def test_survive_24_a_plan_with_unknown_fields_is_read_and_its_paths_keep_their_names() -> None:
    later = {**as_mapping(PLAN), "version": 2, "colour": "blue"}
    for planned in later["paths"]:
        planned["weight"] = 3
        planned["path"]["target"]["colour"] = "blue"
        planned["path"]["ask"]["dscp"] = 46
    decoded = decode_plan(msgspec.msgpack.encode(later))
    assert [planned.path.id for planned in decoded.paths] == [planned.path.id for planned in PLAN.paths]


def test_survive_24_a_path_of_a_later_kind_costs_itself_and_no_other() -> None:
    later = as_mapping(PLAN)
    later["paths"] = [*later["paths"], copy.deepcopy(later["paths"][0])]
    later["paths"][-1]["path"]["ask"] = {"type": "quic", "port": 443}
    decoded = decode_plan(msgspec.msgpack.encode(later))
    assert decoded == msgspec.structs.replace(PLAN, unreadable=1)
    later["paths"][-1]["path"]["ask"] = later["paths"][0]["path"]["ask"]
    assert refused(decode_plan, msgspec.msgpack.encode(later)) == "malformed", "the same path twice"


def test_survive_51_gzip_is_taken_where_it_is_one_whole_member() -> None:
    body = encode(REPORT)
    assert decompress(compress(body), limit=MAX_REPORT_BYTES) == body
    assert decompress(gzip.compress(body), limit=len(body)) == body


def test_survive_51_a_bomb_is_refused_without_being_unpacked() -> None:
    bomb = gzip.compress(bytes(100 * 1024 * 1024), compresslevel=9)
    tracemalloc.start()
    try:
        assert refused(lambda body: decompress(body, limit=MAX_REPORT_BYTES), bomb) == "compression"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAX_REPORT_BYTES


def test_survive_51_a_small_bomb_is_refused_for_its_ratio() -> None:
    """Far below the limit of a report, but growing a thousandfold: nothing that we send does."""
    assert refused(lambda body: decompress(body, limit=MAX_REPORT_BYTES), gzip.compress(bytes(1_000_000))) == "compression"


def test_survive_51_one_byte_more_than_the_limit_is_refused() -> None:
    body = bytes(range(256)) * 4
    assert decompress(compress(body), limit=len(body)) == body
    assert refused(lambda packed: decompress(packed, limit=len(body) - 1), compress(body)) == "compression"


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"") * 100_000,
        gzip.compress(b"x") * 2,
        gzip.compress(b"x") + gzip.compress(b""),
        gzip.compress(b"x") + b"\0",
        gzip.compress(b"x")[:-1],
        gzip.compress(b"x")[:-5] + bytes(5),
        gzip.compress(b"x")[:3],
        b"",
        b"not gzip",
        encode(REPORT),
    ],
    ids=[
        "many empty members",
        "two members",
        "an empty member after",
        "trailing",
        "torn",
        "checksum",
        "header",
        "empty",
        "text",
        "plain",
    ],
)
def test_survive_51_what_is_not_one_whole_gzip_member_is_refused(body: bytes) -> None:
    assert refused(lambda packed: decompress(packed, limit=MAX_REPORT_BYTES), body) == "compression"


@given(st.binary(max_size=200))
def test_survive_51_any_bytes_decompress_or_are_refused(body: bytes) -> None:
    for packed in (body, compress(b"abc") + body, compress(b"abc" * 50)[: len(body)] + body):
        try:
            content = decompress(packed, limit=1000)
        except CodecError as error:
            assert error.reason == "compression"  # noqa: PT017 - the same
        else:
            assert len(content) <= 1000

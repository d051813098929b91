"""Names of paths outlive plans, processes and versions."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, ValidationError, convert, structs, to_builtins

from wire import path as wire_path
from wire.path import (
    Ask,
    Dns,
    Family,
    Http,
    Icmp,
    Kind,
    Layer,
    Path,
    Paths,
    Port,
    Record,
    Target,
    Tcp,
    Udp,
    packets,
    shortest,
    words,
)

POD = Target("pod/shop/cart-0", "n2", address="10.30.2.2", uid="b0c5")
POD_V6 = Target("pod/shop/cart-0", "n2", address="fd31:2::2", uid="b0c5")
NODE = Target("node/n3", "n3", address="172.30.0.3")
EXAMPLE = Target("external/example", "external/example", host="www.example.test")

# Computed once, by the first version, and never to be changed: a path that is renamed loses its history.
GOLDEN = {
    0xFE4DB2FAAB47358F: Path("n1", POD, Layer.POD, Family.IPV4, Icmp()),
    0xAB053385EE7E4667: Path("n1", POD, Layer.POD, Family.IPV4, Udp(8620)),
    0x05AC7A53D2916912: Path("n1", POD_V6, Layer.POD, Family.IPV6, Udp(8620, padding=1200)),
    0xC822333A150A3C23: Path("n1", NODE, Layer.HOST, Family.IPV4, Icmp(size=1000)),
    0x0D0261E59D9497E9: Path("n1", POD, Layer.POD, Family.IPV4, Tcp(8620)),
    0xF74A279010179467: Path("n2", POD, Layer.POD, Family.IPV4, Http(8620, path="/echo")),
    0x9B2F5C4C28082415: Path(
        "n1", EXAMPLE, Layer.EXTERNAL, Family.IPV6, Http(443, tls=True, host="www.example.test", verify=False)
    ),
}


def test_the_id_of_a_path_is_the_same_in_every_version() -> None:
    assert {path.id: path for path in GOLDEN.values()} == GOLDEN


def test_a_path_that_is_made_of_parts_has_the_same_id_and_kind_as_any_other() -> None:
    for path in GOLDEN.values():
        rest = words(path.layer, path.family, path.target, path.ask).encode()
        made = Paths(path.vantage).path(path.target, path.layer, path.family, path.ask, rest)
        assert (made, made.id, made.kind) == (path, path.id, path.kind)


def test_the_canonical_text_leaves_defaults_out_and_says_the_length_of_every_word() -> None:
    path = Path("n1", POD, Layer.POD, Family.IPV4, Udp(8620))
    assert path.canonical.splitlines() == [
        "vantage=2:n1",
        "layer=3:pod",
        "family=4:ipv4",
        "kind=3:udp",
        "target.name=15:pod/shop/cart-0",
        "target.peer=2:n2",
        "target.address=9:10.30.2.2",
        "target.uid=4:b0c5",
        "ask.port=4:8620",
    ]


def test_every_field_of_a_path_is_part_of_its_name() -> None:
    path = Path("n1", POD, Layer.POD, Family.IPV4, Http(80))
    others = [
        structs.replace(path, vantage="n2"),
        structs.replace(path, layer=Layer.SERVICE),
        structs.replace(path, target=POD_V6, family=Family.IPV6),
        structs.replace(path, target=structs.replace(POD, uid="b0c6")),
        structs.replace(path, target=structs.replace(POD, name="pod/shop/cart-1")),
        structs.replace(path, target=structs.replace(POD, peer="n3")),
        structs.replace(path, ask=Tcp(80)),
        structs.replace(path, ask=Udp(80)),
        structs.replace(path, ask=Icmp()),
        structs.replace(path, ask=Http(81)),
        structs.replace(path, ask=Http(80, tls=True)),
        structs.replace(path, ask=Http(80, method="HEAD")),
        structs.replace(path, ask=Http(80, path="/healthz")),
        structs.replace(path, ask=Http(80, host="cart.shop")),
        structs.replace(path, ask=Http(80, authority="cart.shop")),
        structs.replace(path, ask=Http(80, expect_status="200")),
        structs.replace(path, ask=Http(80, body_contains="200")),
        structs.replace(path, ask=Http(80, verify=False)),
    ]
    assert all(one.id != other.id for one, other in combinations([path, *others], 2))


def test_a_parameter_added_later_does_not_rename_the_paths_that_leave_it_at_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class LaterUdp(Struct, frozen=True, tag="udp", omit_defaults=True):
        port: Port
        dscp: int = 0
        padding: int = 0

    kinds: dict[type[Struct], Kind] = {**wire_path.KIND_OF, LaterUdp: Kind.UDP}
    monkeypatch.setattr(wire_path, "KIND_OF", kinds)
    for ask, later in ((Udp(8620), LaterUdp(8620)), (Udp(8620, padding=100), LaterUdp(8620, padding=100))):
        path = Path("n1", POD, Layer.POD, Family.IPV4, ask)
        assert structs.replace(path, ask=later).id == path.id
    path = Path("n1", POD, Layer.POD, Family.IPV4, Udp(8620))
    assert structs.replace(path, ask=LaterUdp(8620, dscp=46)).id != path.id


def test_an_id_does_not_depend_on_the_order_of_the_keys_that_arrived() -> None:
    path = Path("n1", EXAMPLE, Layer.EXTERNAL, Family.IPV4, Http(443, tls=True, path="/a"))
    mapping = to_builtins(path)
    turned = dict(reversed([(key, dict(reversed(v.items())) if isinstance(v, dict) else v) for key, v in mapping.items()]))
    assert list(turned) != list(mapping)
    assert convert(turned, Path).id == path.id


def test_every_kind_has_one_way_to_ask() -> None:
    assert set(wire_path.KIND_OF.values()) == set(Kind)
    asks: list[Ask] = [Icmp(), Udp(1), Tcp(1), Http(1), Dns("a.")]
    assert {Path("n1", POD, Layer.POD, Family.IPV4, ask).kind for ask in asks} == set(Kind)


@given(st.sampled_from([Icmp(), Udp(9), Tcp(9), Http(9), Dns("a.")]), st.text(max_size=4), st.text(max_size=4))
def test_no_two_paths_share_a_canonical_text(ask: Ask, one: str, other: str) -> None:
    """Even where a word contains what looks like the next line."""
    first = Path(f"a{one}", Target(f"b{other}", "p", host="h"), Layer.POD, Family.IPV4, ask)
    second = Path(f"a{other}", Target(f"b{one}", "p", host="h"), Layer.POD, Family.IPV4, ask)
    assert (first.canonical == second.canonical) == (one == other)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"address": "10.30.02.2"}, "does not appear to be|leading zeros"),
        ({"address": "fd31:0:0::2"}, "shortest form, fd31::2"),
        ({"address": "fe80::1%eth0"}, "has a zone"),
        ({"address": "fe80::1%\x1b[31m"}, "has a zone"),
        ({"address": "10.30.2.2", "host": "example"}, "either an address or a host"),
        ({}, "either an address or a host"),
        ({"address": "www.example.test"}, "does not appear to be"),
    ],
)
def test_a_target_that_names_no_one_place_cannot_be_made(fields: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Target("pod/shop/cart-0", "n2", **fields)


def test_a_path_to_an_address_of_another_family_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="not an ipv6 address"):
        Path("n1", POD, Layer.POD, Family.IPV6, Icmp())


@pytest.mark.parametrize(
    "name", ["", "-n1", "n1-", "n 1", "n1\n", "n1\x00", '"n1"', "n1\x1b[31m", "<b>", "=1+1", "n" * 254, "né"]
)
def test_survive_59_a_name_that_could_break_out_of_a_label_a_cell_or_a_terminal_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        convert({**to_builtins(Path("n1", NODE, Layer.HOST, Family.IPV4, Icmp())), "vantage": name}, Path)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "POST"},
        {"method": "GET\n"},
        {"path": "relative"},
        {"path": "/a b"},
        {"path": "/a\r\nHost: evil"},
        {"path": "/a\n"},
        {"path": "/" + "a" * 1024},
        {"host": "evil\r\nX: y"},
        {"authority": "evil\n"},
        {"expect_status": "600"},
        {"expect_status": "200,"},
        {"expect_status": "2x"},
        {"port": 0},
        {"port": 65536},
    ],
)
def test_survive_56_a_request_that_could_carry_more_than_a_get_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        convert({"type": "http", "port": 80, **fields}, Http)


@pytest.mark.parametrize("status", ["", "200", "2xx", "200,3xx,404"])
def test_a_list_of_status_codes_is_taken(status: str) -> None:
    assert convert({"type": "http", "port": 80, "expect_status": status}, Http).expect_status == status


def test_an_address_has_one_form_whatever_the_version_of_python() -> None:
    assert shortest("::ffff:a9fe:a9fe") == shortest("::FFFF:169.254.169.254") == "::ffff:169.254.169.254"
    assert shortest("2001:DB8:0:0::1") == "2001:db8::1"
    with pytest.raises(ValueError, match="256"):
        shortest("10.0.0.256")


@pytest.mark.parametrize(
    ("ask", "cost"),
    [
        (Icmp(), 1),
        (Udp(port=1), 1),
        (Tcp(port=1), 3),
        (Http(port=1), 6),
        (Dns(name="a."), 1),
        (Dns(name="a.", record=Record.BOTH), 2),
        (Dns(name="a.", tcp=True), 6),
    ],
)
def test_what_a_probe_costs_in_packets_depends_on_how_it_asks(ask: Ask, cost: int) -> None:
    assert packets(ask) == cost


@pytest.mark.parametrize("name", ["a.b", "", ".a.", "a..", "-a.", "a b.", "a." * 130, "ä.", "a.\n"])
def test_a_name_to_ask_for_is_whole_and_of_plain_characters(name: str) -> None:
    assert convert({"type": "dns", "name": "_dmarc.a-b.example."}, Dns) == Dns(name="_dmarc.a-b.example.")
    assert convert({"type": "dns", "name": "."}, Dns) == Dns(name=".")
    with pytest.raises(ValidationError):
        convert({"type": "dns", "name": name}, Dns)


@pytest.mark.parametrize("address", ["garbage", "10.0.0.1\n", "10.0.0.256", "fe80::1%eth0", "2001:DB8::1"])
def test_what_must_be_among_the_answers_is_an_address_in_its_shortest_form(address: str) -> None:
    """Whoever compares it with answers would stumble over anything else, and lose the answers to other questions with it."""
    assert Dns("a.", contains="2001:db8::1").contains
    with pytest.raises(ValidationError):
        convert({"type": "dns", "name": "a.", "contains": address}, Dns)

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.address import refusal

DENIED_IPV4 = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.0.1": "link-local",
    "169.254.20.10": "link-local",
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata",
    "169.254.170.23": "metadata",
    "168.63.129.16": "metadata",
    "100.100.100.200": "metadata",
    "192.0.0.192": "metadata",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "255.255.255.255": "broadcast",
    "0.0.0.0": "unspecified",
}
DENIED_IPV6 = {
    "::": "unspecified",
    "::1": "loopback",
    "fe80::1": "link-local",
    "febf::1": "link-local",
    "ff02::1": "multicast",
    "fd00:ec2::254": "metadata",
    "fd00:ec2::23": "metadata",
}


def wrappings(inner: IPv4Address) -> dict[str, str]:
    number = int(inner)
    octets = inner.packed

    def text(high: str, low: int) -> str:
        return str(IPv6Address(int(IPv6Address(high)) | low))

    return {
        "mapped": text("::ffff:0:0", number),
        "compatible": text("::", number),
        "translated": text("::ffff:0:0:0", number),
        "nat64": text("64:ff9b::", number),
        "local nat64 /48": str(IPv6Address(bytes.fromhex("0064ff9b0001") + octets[:2] + b"\0" + octets[2:] + bytes(5))),
        "local nat64 /56": str(IPv6Address(bytes.fromhex("0064ff9b000100") + octets[:1] + b"\0" + octets[1:] + bytes(4))),
        "local nat64 /64": str(IPv6Address(bytes.fromhex("0064ff9b00010000") + b"\0" + octets + bytes(3))),
        "local nat64 /96": text("64:ff9b:1::", number),
        "6to4": text("2002::", number << 80),
        "teredo client": text("2001:0:808:808::", number ^ 0xFFFFFFFF),
        "teredo server": text("2001::f7f7:f7f7", number << 64),
        "isatap": text("2001:db8::200:5efe:0:0", number),
    }


@pytest.mark.parametrize(("address", "word"), (DENIED_IPV4 | DENIED_IPV6).items())
def test_survive_54_every_address_of_the_deny_list_is_refused_with_its_word(address: str, word: str) -> None:
    assert refusal(address, allow_loopback=False, resolvers=frozenset()) == word


@pytest.mark.parametrize("address", DENIED_IPV4)
def test_survive_54_no_way_to_wrap_a_denied_ipv4_address_gets_around_the_list(address: str) -> None:
    for way, wrapped in wrappings(IPv4Address(address)).items():
        assert refusal(wrapped, allow_loopback=False, resolvers=frozenset()) is not None, f"{way}: {wrapped}"


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "8.8.8.8", "203.0.113.9", "240.1.2.3"])
def test_an_ordinary_address_stays_ordinary_however_it_is_wrapped(address: str) -> None:
    assert refusal(address) is None
    for way, wrapped in wrappings(IPv4Address(address)).items():
        assert refusal(wrapped) is None, f"{way}: {wrapped}"


@pytest.mark.parametrize("address", ["fd31:1::2", "2001:db8::1", "2606:4700::1111", "fec0::1"])
def test_an_ordinary_ipv6_address_is_permitted(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize(
    "address", ["", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "1.2.3.4:80", "[::1]", " ::1"]
)
def test_survive_54_anything_but_an_address_in_plain_form_is_malformed(address: str) -> None:
    assert refusal(address, allow_loopback=True, resolvers=frozenset({address}), port=53) == "malformed"


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2001:db8::1%1", "::1%lo"])
def test_a_scope_is_refused_whatever_the_address(address: str) -> None:
    assert refusal(address, allow_loopback=True) == "scoped"


def test_loopback_is_permitted_where_allowed_and_nothing_else_with_it() -> None:
    permitted = {address for address in DENIED_IPV4 | DENIED_IPV6 if refusal(address, allow_loopback=True) is None}
    assert permitted == {"127.0.0.1", "127.255.255.254", "::1"}


def test_survive_54_a_resolver_is_excepted_on_port_53_only() -> None:
    resolvers = frozenset({"169.254.20.10"})
    assert refusal("169.254.20.10", resolvers=resolvers, port=53) is None
    assert refusal("169.254.20.10", resolvers=resolvers, port=80) == "link-local"
    assert refusal("169.254.20.10", resolvers=resolvers) == "link-local"
    assert refusal("169.254.20.11", resolvers=resolvers, port=53) == "link-local"


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "224.0.0.251", "ff02::fb"])
def test_what_is_no_single_host_is_never_a_resolver(address: str) -> None:
    assert refusal(address, resolvers=frozenset({address}), port=53) is not None


@settings(max_examples=60)
@given((st.just(0) | st.integers(2**24, 2**32 - 1)).map(IPv4Address), st.booleans())
def test_a_wrapped_address_is_never_judged_more_kindly_than_itself(inner: IPv4Address, allow_loopback: bool) -> None:
    word = refusal(str(inner), allow_loopback=allow_loopback)
    for way, wrapped in wrappings(inner).items():
        if word is not None:
            assert refusal(wrapped, allow_loopback=allow_loopback) is not None, f"{way}: {wrapped}"


@settings(max_examples=60)
@given(st.text(max_size=40) | st.ip_addresses().map(str))
def test_any_text_at_all_gets_a_verdict(address: str) -> None:
    word = refusal(address)
    if word is None:
        parsed = ip_address(address)
        assert not any([parsed.is_loopback, parsed.is_link_local, parsed.is_multicast, parsed.is_unspecified])

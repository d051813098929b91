import pytest

from collector.discovery.static import parse_inventory
from collector.document import BadFileError

GOOD = """
dns:
  - {name: cluster, addresses: [10.96.0.10, "fd96:0::a"], names: [www.example.test., api.svc.test.], contains: 198.51.100.10}
  - {name: node-local, addresses: [169.254.20.10], names: [.]}
"""


def test_name_servers_are_read_with_addresses_in_their_shortest_form() -> None:
    cluster, node_local = parse_inventory(GOOD, name="i").dns
    assert cluster.addresses == ("10.96.0.10", "fd96::a")
    assert cluster.contains == "198.51.100.10"
    assert (cluster.port, cluster.critical) == (53, False)
    assert node_local.names == (".",)


def test_survive_54_a_resolver_may_be_link_local_on_port_53_and_on_no_other() -> None:
    assert parse_inventory(GOOD, name="i").dns[1].addresses == ("169.254.20.10",)
    with pytest.raises(BadFileError, match=r"dns\[1\].addresses\[0\]: 169.254.20.10 is never probed: link-local"):
        parse_inventory(GOOD.replace("169.254.20.10]", "169.254.20.10], port: 5353"), name="i")


NOT_QUALIFIED = "expected a fully qualified name with its last dot, such as www.example.test."


@pytest.mark.parametrize(
    ("old", "replacement", "sentence"),
    [
        ("169.254.20.10", "169.254.169.254", "dns[1].addresses[0]: 169.254.169.254 is never probed: metadata"),
        ("169.254.20.10", "127.0.0.53", "dns[1].addresses[0]: 127.0.0.53 is never probed: loopback"),
        ("169.254.20.10", "'fe80::1'", "dns[1].addresses[0]: fe80::1 is never probed: link-local"),
        ("169.254.20.10", "ns1.test", "dns[1].addresses[0]: ns1.test is not an IP address"),
        ("[169.254.20.10]", "[]", "dns[1].addresses: needs at least one address"),
        ("fd96:0::a", "10.96.0.10", "dns[0].addresses[1]: 10.96.0.10 is also dns[0].addresses[0]"),
        ("node-local", "cluster", "dns[1].name: cluster is also dns[0]"),
        ("www.example.test.", "www.example.test", f"dns[0].names[0]: {NOT_QUALIFIED}"),
        ("www.example.test.", "a..test.", f"dns[0].names[0]: {NOT_QUALIFIED}"),
        ("api.svc.test.", "WWW.example.test.", "dns[0].names[1]: WWW.example.test. stands twice"),
        ("198.51.100.10", "www.example.test", "dns[0].contains: not an IP address"),
        ("198.51.100.10", "'fd00::1%eth0'", "dns[0].contains: has a zone index, which no answer has"),
    ],
)
def test_a_wrong_name_server_gets_exactly_this_sentence(old: str, replacement: str, sentence: str) -> None:
    with pytest.raises(BadFileError) as refused:
        parse_inventory(GOOD.replace(old, replacement, 1), name="i")
    assert str(refused.value) == f"i: {sentence}"

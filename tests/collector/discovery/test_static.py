import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.discovery.probes import external_asks, service_ask
from collector.discovery.snapshot import Attachment, Snapshot
from collector.discovery.static import InventoryFile, load_inventory, parse_inventory
from collector.document import BadFileError
from wire.path import Http
from wire.text import type_name

KEY = "0123456789abcdef0123456789abcdef"
GOOD = f"""
nodes:
  - {{name: n1, zone: z1, addresses: [172.30.0.1, "fd30::0001"]}}
  - {{name: n2, zone: z2, addresses: [172.30.0.2]}}
vantages:
  - {{name: n1, node: n1, namespace: netmatrix, pod: agent-n1, addresses: [10.30.1.2, FD31:1::2], key: {KEY}}}
  - {{name: n2, node: n2, namespace: netmatrix, pod: agent-n2, addresses: [10.30.2.2], key: {KEY}2,
     networks: [{{name: storage, addresses: ["fd32::0002"], mtu: 9000}}]}}
services:
  - {{name: cart, namespace: shop, addresses: [10.96.0.10, "fd96::a"], port: 80, probe: "http:/", endpoints: 2}}
external:
  - {{name: example, host: www.example.test, probes: ["icmp", "tcp:443", "http://www.example.test:80/"]}}
"""

REFUSED = [
    ("10.30.1.2", "10.30.1.300", "vantages[0].addresses[0]: 10.30.1.300 is not an IP address"),
    ("10.30.1.2", "010.30.1.2", "vantages[0].addresses[0]: 010.30.1.2 is not an IP address"),
    (
        "FD31:1::2",
        "fe80::1%eth0",
        "vantages[0].addresses[1]: fe80::1%eth0 has a zone index, which names an interface of one machine only",
    ),
    ("FD31:1::2", "fe80::1", "vantages[0].addresses[1]: fe80::1 is never probed: link-local"),
    (
        "FD31:1::2",
        '"::ffff:10.0.0.1"',
        "vantages[0].addresses[1]: ::ffff:10.0.0.1 is never probed: an IPv4 address inside of an IPv6 one",
    ),
    ("FD31:1::2", "10.30.1.2", "vantages[0].addresses[1]: 10.30.1.2 is also vantages[0].addresses[0]"),
    ("[10.30.2.2]", "[]", "vantages[1].addresses: needs at least one address"),
    ("[10.30.2.2]", "10.30.2.2", "vantages[1].addresses: expected list, got str"),
    ("storage", "default", "vantages[1].networks[0].name: default is the network of vantages[1].addresses"),
    ('["fd32::0002"]', "[]", "vantages[1].networks[0].addresses: needs at least one address"),
    ('"fd32::0002"', "fd32", "vantages[1].networks[0].addresses[0]: fd32 is not an IP address"),
    ('"fd32::0002"', "10.30.2.2", "vantages[1].networks[0].addresses[0]: 10.30.2.2 is also vantages[1].addresses[0]"),
    ('"fd32::0002"', "224.0.0.9", "vantages[1].networks[0].addresses[0]: 224.0.0.9 is never probed: multicast"),
    ("mtu: 9000", "mtu: 70000", "vantages[1].networks[0].mtu: expected int <= 65535"),
    (
        "mtu: 9000",
        "mtu: 575",
        "vantages[1].networks[0].mtu: 575 is less than the 576 bytes that every host takes; 0 where it is not known",
    ),
    ("nodes:", "mtu: 9\nnodes:", "mtu: 9 is less than the 576 bytes that every host takes; 0 where it is not known"),
    ("mtu: 9000", "size: 9000", "vantages[1].networks[0].size: unknown key; allowed are addresses, mtu, name"),
    (
        "[{name: storage,",
        "[{name: storage, addresses: [10.31.2.2]}, {name: storage,",
        "vantages[1].networks[1].name: storage is also vantages[1].networks[0]",
    ),
    ("node: n2", "node: n9", "vantages[1].node: n9 is not one of the nodes"),
    ("name: n2, node", "name: n1, node", "vantages[1].name: n1 is also vantages[0]"),
    ("pod: agent-n2", "pod: agent-n1", "vantages[1].pod: netmatrix/agent-n1 is also vantages[0]"),
    ("name: n2, zone", "name: n1, zone", "nodes[1].name: n1 is also nodes[0]"),
    ("172.30.0.2", "172.30.0.1", "nodes[1].addresses[0]: 172.30.0.1 is also nodes[0].addresses[0]"),
    (f"{KEY}2", KEY, "vantages[1].key: the same as that of vantages[0]; every vantage needs its own"),
    (f"{KEY}2", "short", "vantages[1].key: expected str of length >= 32"),
    (f", key: {KEY}2", "", "vantages[1].key: missing"),
    (f"{KEY}2", f'"{KEY} 2"', "vantages[1].key: has other characters than printable ASCII without blanks"),
    (
        "pod: agent-n1",
        "pods: agent-n1",
        (
            "vantages[0].pods: unknown key; allowed are addresses, annotations, excluded, host_network, key, labels, name, "
            "namespace, networks, node, pod, port, ports, uid"
        ),
    ),
    ("pod: agent-n1, ", "", "vantages[0].pod: missing"),
    ("name: n1, zone", "name: n 1, zone", "nodes[0].name: n 1 has characters or a form that are not allowed here"),
    ("name: n1, zone", "name: 1, zone", "nodes[0].name: expected str, got int"),
    ("port: 80", "port: 0", "services[0].port: expected int >= 1"),
    ("endpoints: 2", "endpoints: -1", "services[0].endpoints: expected int >= 0"),
    (
        "endpoints: 2",
        (
            "doors: [{kind: endpoint, name: cart-0, addresses: [10.30.1.9], port: 80}, "
            "{kind: endpoint, name: cart-0, addresses: [10.30.1.9], port: 80}]"
        ),
        "services[0].doors[1].name: cart-0 is also services[0].doors[0]",
    ),
    (
        "endpoints: 2",
        "doors: [{kind: node_port, name: n1, addresses: [169.254.169.254], port: 30080}]",
        "services[0].doors[0].addresses[0]: 169.254.169.254 is never probed: metadata",
    ),
    (
        "endpoints: 2",
        f"doors: [{{kind: endpoint, name: {'e' * 250}, addresses: [10.30.1.9], port: 80}}]",
        f"services[0].doors[0].name: endpoint/shop/cart/{'e' * 250} is longer than 253 characters",
    ),
    ("endpoints: 2", "also: [udp]", "services[0].also[0]: udp has characters or a form that are not allowed here"),
    ('10.96.0.10, "fd96::a"', "", "services[0].addresses: needs at least one address"),
    ('probe: "http:/"', "probe: udp", "services[0].probe: udp has characters or a form that are not allowed here"),
    ('10.96.0.10, "fd96::a"', "127.0.0.1", "services[0].addresses[0]: 127.0.0.1 is never probed: loopback"),
    ('"icmp"', '"ping"', "external[0].probes[0]: expected icmp, tcp:PORT or an http or https URL"),
    ('"icmp"', '"tcp:65536"', "external[0].probes[0]: expected a port of 1 to 65535"),
    ('"icmp"', '"tcp:443"', "external[0].probes[1]: stands twice"),
    ('"icmp"', '"http://u:p@h/"', "external[0].probes[0]: a URL must not hold credentials"),
    ('"icmp"', '"http:///x"', "external[0].probes[0]: a URL needs a host, a port of 1 to 65535 and no fragment"),
    ('"icmp"', '"http://h:99999/"', "external[0].probes[0]: not a URL"),
    (
        "host: www.example.test",
        "host: localhost",
        "external[0].host: localhost is never probed: a name of the machine itself or of its cloud",
    ),
    ("host: www.example.test", "host: 2130706433x", None),
    ("host: www.example.test", 'host: "2130706433"', "external[0].host: 2130706433 is never probed: a number is not a name"),
    (
        "host: www.example.test",
        "host: 127.0.0.1",
        "external[0].host: 127.0.0.1 is never probed: an address; it stands under the key address",
    ),
    ("host: www.example.test", "address: 169.254.169.254", "external[0].address: 169.254.169.254 is never probed: metadata"),
    (
        "host: www.example.test",
        "address: 100.100.100.200",
        "external[0].address: 100.100.100.200 is never probed: metadata",
    ),
    ("host: www.example.test", 'address: "::1"', "external[0].address: ::1 is never probed: loopback"),
    ("host: www.example.test, ", "", "external[0]: needs either host or address"),
    ("namespace: shop", f"namespace: {'s' * 250}", f"services[0].name: service/{'s' * 250}/cart is longer than 253 characters"),
]


@pytest.mark.parametrize(("old", "replacement", "sentence"), REFUSED)
def test_a_bad_inventory_gets_exactly_this_sentence(old: str, replacement: str, sentence: str | None) -> None:
    text = GOOD.replace(old, replacement, 1)
    assert text != GOOD
    if sentence is None:
        parse_inventory(text, name="inventory.yaml")
        return
    with pytest.raises(BadFileError) as refusal:
        parse_inventory(text, name="inventory.yaml")
    assert str(refusal.value) == f"inventory.yaml: {sentence}"


def test_addresses_are_kept_in_their_shortest_form() -> None:
    snapshot = parse_inventory(GOOD, name="i")
    assert snapshot.nodes[0].addresses == ("172.30.0.1", "fd30::1")
    assert snapshot.vantages[0].addresses == ("10.30.1.2", "fd31:1::2")
    assert snapshot.vantages[1].networks == (Attachment("storage", ("fd32::2",), 9000),)


def test_an_empty_inventory_is_an_empty_snapshot() -> None:
    assert parse_inventory("", name="i") == Snapshot()


def test_no_refusal_shows_a_key() -> None:
    sentences = [_sentence(GOOD.replace(old, replacement, 1)) for old, replacement, _ in REFUSED]
    assert len(sentences) > 30
    assert not [sentence for sentence in sentences if KEY in sentence]


def _sentence(text: str) -> str:
    """Why an inventory is refused; empty where it is not."""
    try:
        assert isinstance(parse_inventory(text, name="i"), Snapshot)
    except BadFileError as error:
        return str(error)
    return ""


def _rewrite(path: Path, text: str) -> None:
    """Replace a file as kubectl and editors do, with a time of its own however coarse the clock of the file system."""
    other = path.with_suffix(".next")
    other.write_text(text)
    later = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(other, ns=(later, later))
    other.replace(path)


def test_survive_63_a_bad_inventory_leaves_the_last_good_one_in_force(tmp_path: Path) -> None:
    refused: list[None] = []
    path = tmp_path / "inventory.yaml"
    path.write_text(GOOD)
    source = InventoryFile(path, refused=lambda: refused.append(None))
    first = source.snapshot
    assert not source.changed()
    _rewrite(path, GOOD.replace("10.30.1.2", "nonsense"))
    assert not source.changed()
    assert not source.changed()
    assert source.snapshot is first
    assert len(refused) == 1, "a bad file is said once, not with every look"
    path.unlink()
    assert not source.changed()
    assert source.snapshot is first
    path.write_text(GOOD.replace("10.30.1.2", "10.30.1.9"))
    assert source.changed()
    assert source.snapshot.vantages[0].addresses[0] == "10.30.1.9"
    _rewrite(path, GOOD.replace("10.30.1.2", "10.30.1.9") + "# a comment\n")
    assert not source.changed(), "the same snapshot is no change"


def test_survive_10_a_file_that_is_half_written_is_not_read_and_one_torn_by_a_crash_is_refused(tmp_path: Path) -> None:
    """Half of an inventory may be valid YAML: it would let the other half of the cluster vanish."""
    refused: list[None] = []
    path = tmp_path / "inventory.yaml"
    path.write_text(GOOD)
    source = InventoryFile(path, refused=lambda: refused.append(None))
    whole = source.snapshot
    half = GOOD[: GOOD.index("  - {name: n2, node: n2")]
    assert len(parse_inventory(half, name="i").vantages) == 1
    with path.open("w") as writing:
        for part in (half, GOOD[len(half) :].replace("10.96.0.10", "10.96.0.11")):
            writing.write(part)
            writing.flush()
            assert not source.changed()
            assert source.snapshot is whole
    assert source.changed()
    assert len(source.snapshot.vantages) == 2
    assert source.snapshot.services[0].addresses[0] == "10.96.0.11"
    path.write_text("")
    assert not source.changed()
    assert not source.changed()
    assert len(refused) == 1
    assert len(source.snapshot.vantages) == 2


def test_the_first_inventory_must_be_good(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    with pytest.raises(BadFileError, match="cannot be read"):
        load_inventory(path)
    path.write_text("nodes: 3")
    with pytest.raises(BadFileError, match=r"^inventory.yaml: nodes: expected list, got int$"):
        load_inventory(path)


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.text(max_size=6)), max_size=3))
@settings(max_examples=120, deadline=None)
def test_any_edit_of_an_inventory_is_a_snapshot_or_one_sentence(edits: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, length, inserted in edits:
        text = text[:at] + inserted + text[at + length :]
    assert _sentence(text).isprintable()


OPTIONS = """{url: "https://10.20.0.1:8443/health?deep=1", host: www.example.test, authority: "other.test:1",
  expect_status: "200,3xx", body_contains: "ok", method: HEAD, verify: false}"""


def test_a_probe_over_http_takes_every_option_that_the_agent_knows() -> None:
    text = GOOD.replace('"icmp", "tcp:443"', OPTIONS)
    snapshot = parse_inventory(text, name="inventory.yaml")
    assert external_asks(snapshot.external[0])[0] == Http(
        port=8443,
        tls=True,
        method="HEAD",
        path="/health?deep=1",
        host="www.example.test",
        authority="other.test:1",
        expect_status="200,3xx",
        body_contains="ok",
        verify=False,
    )


def test_a_service_over_http_takes_options_and_one_over_tcp_refuses_them() -> None:
    text = GOOD.replace('probe: "http:/"', 'probe: "http:/", http: {expect_status: 2xx}')
    service = parse_inventory(text, name="inventory.yaml").services[0]
    assert service_ask(service) == Http(port=80, path="/", expect_status="2xx")
    with pytest.raises(BadFileError, match=r"services\[0\].probe: options of http need a probe over http"):
        parse_inventory(text.replace('http:/", http', 'tcp", http'), name="inventory.yaml")


@pytest.mark.parametrize(
    ("probe", "sentence"),
    [
        ("{url: icmp}", "external[0].probes[0]: url: expected an http or https URL"),
        (
            '{url: "http://a.test/", expect_status: "600"}',
            "external[0].probes[0]: expect_status: expected status codes such as 200,3xx",
        ),
        ('{url: "http://a.test/", method: POST}', "external[0].probes[0]: method: expected GET or HEAD"),
        ('{url: "http://a.test/", host: "a b"}', f"external[0].probes[0]: host: expected {type_name}"),
    ],
)
def test_an_option_that_no_agent_would_take_is_refused_in_one_sentence(probe: str, sentence: str) -> None:
    with pytest.raises(BadFileError) as refused:
        parse_inventory(GOOD.replace('"icmp", "tcp:443"', probe), name="inventory.yaml")
    assert str(refused.value) == f"inventory.yaml: {sentence}"


def test_a_secret_is_kept_out_of_logs_and_is_long() -> None:
    text = GOOD + f"secret: {KEY}\n"
    snapshot = parse_inventory(text, name="inventory.yaml")
    assert snapshot.secret == KEY
    assert KEY not in repr(snapshot)
    with pytest.raises(BadFileError, match="secret: shorter than 32 characters"):
        parse_inventory(GOOD + "secret: short\n", name="inventory.yaml")

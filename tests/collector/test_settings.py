import ast
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collector.settings
from collector.document import MAX_BYTES, BadFileError, read_text
from collector.duration import Duration
from collector.settings import Settings, load_settings, parse_settings

PLAN_KEYS = (
    "agent_packets_per_second, dns_interval, external_interval, external_packets_per_second, families, full_mesh_nodes, "
    "host_interval, interval, kinds, mtu_interval, peers, report, rotation, service_interval, target_packets_per_second, "
    "timeout, vantages_per_zone"
)

REFUSED = {
    "plan: {intervall: 1s}": f"plan.intervall: unknown key; allowed are {PLAN_KEYS}",
    "agents: {tls: {certificat: a}}": "agents.tls.certificat: unknown key; allowed are certificate, key",
    "agents: {tls: {certificate: a}}": "agents.tls.key: missing",
    "plan: {interval: 1}": "plan.interval: expected a duration such as 500ms, 1s, 10m or 2h",
    "plan: {interval: 1.5s}": "plan.interval: expected a duration such as 500ms, 1s, 10m or 2h",
    "plan: {interval: -1s}": "plan.interval: expected a duration such as 500ms, 1s, 10m or 2h",
    "plan: {interval: 100ms}": "plan: interval must be 1s to 1h, not 100ms",
    "plan: {host_interval: 999ms}": "plan: host_interval must be 1s to 1h, not 999ms",
    "plan: {timeout: 2m}": "plan: timeout must be 1ms to 1m, not 2m",
    "plan: 3": "plan: expected mapping, got int",
    "plan: {kinds: {tcp: -1}}": "plan.kinds.tcp: expected int >= 0",
    "plan: {kinds: {dns: 1}}": "plan.kinds.dns: unknown key; allowed are http, icmp, tcp, udp",
    "plan: {families: [ipv5]}": "plan.families[0]: ipv5 is not allowed; allowed are ipv4, ipv6",
    "plan: {families: []}": "plan.families: expected list of length >= 1",
    "plan: {families: [ipv4, ipv4]}": "plan: families names one twice",
    "log: {format: xml}": "log.format: xml is not allowed; allowed are json, text",
    "export: {pairs: 1}": "export.pairs: expected bool, got int",
    "export: {pairs: yes}": "export.pairs: expected bool, got str",
    "matrix: {retention: 1s}": "matrix: retention must be 10s to 1h, not 1s",
    "matrix: {max_bytes: 1.5}": "matrix.max_bytes: expected int, got str",
    "agents: {listen: 8443}": "agents.listen: expected str, got int",
    "agents: {listen: '8443'}": "agents: expected ADDRESS:PORT such as [::]:8443",
    "agents: {listen: '[::]:99999'}": "agents: expected ADDRESS:PORT such as [::]:8443",
    "agents: {listen: '::1:8443'}": "agents: an IPv6 address needs brackets, as in [::]:8443",
    "- 1": "expected mapping, got list",
    "x: &a 1": "line 1: anchors and aliases are not taken",
    "plan: {interval: 1s,\n interval: 2s}": "line 2: key interval stands twice",
    "plan: !!python/object 1": "line 1: tags are not taken",
    "1: 2": "line 1: a key must be text",
    "a: 1\n---\nb: 2": "line 2: more than one document",
    "a: [\n": "line 2: not YAML: did not find expected node content",
    "a: " + "[" * 17: "line 1: nested deeper than 16",
    "plan: {'\x1b[31m': 1}": "not YAML: control characters are not allowed",
    'plan: {"\\e[31m\\n": 1}': f"plan.?[31m?: unknown key; allowed are {PLAN_KEYS}",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_bad_configuration_gets_exactly_this_sentence(text: str) -> None:
    with pytest.raises(BadFileError) as refusal:
        parse_settings(text, name="config.yaml")
    assert str(refusal.value) == f"config.yaml: {REFUSED[text]}"


@pytest.mark.parametrize("text", ["", "# nothing", "{}", "plan: {}", "plan: {interval: 10s}"])
def test_everything_may_be_left_out(text: str) -> None:
    assert parse_settings(text, name="config.yaml") == Settings() == load_settings(None)


def test_what_is_set_is_what_counts() -> None:
    text = "agents: {listen: '127.0.0.1:0'}\nplan: {interval: 2s, timeout: 500ms, kinds: {http: 0}, families: [ipv6]}\n"
    tree = parse_settings(text, name="c")
    assert (tree.agents.host, tree.agents.port) == ("127.0.0.1", 0)
    assert (tree.operators.host, tree.operators.port) == ("::", 8080)
    assert (tree.plan.interval, tree.plan.timeout.milliseconds, tree.plan.kinds.http) == (2_000_000_000, 500, 0)


def test_every_setting_says_what_it_does() -> None:
    tree = ast.parse(Path(collector.settings.__file__).read_text())
    for section in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, following in itertools.pairwise([*section.body, section]):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(following, ast.Expr), ast.unparse(field)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"absent.yaml: cannot be read: No such file or directory"):
        read_text(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadFileError, match=r"binary\.yaml: not UTF-8 at byte 0"):
        read_text(tmp_path / "binary.yaml")
    (tmp_path / "long.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(BadFileError, match=f"long.yaml: longer than {MAX_BYTES} bytes"):
        read_text(tmp_path / "long.yaml")


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefghij", "bcdefghijk", strict=True))
    with pytest.raises(BadFileError, match="anchors and aliases are not taken"):
        parse_settings(bomb, name="c")


@given(st.text(max_size=200) | st.text(alphabet="plan:{}[]&*!-,'\"\n interval10s", max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_settings_or_one_sentence(text: str) -> None:
    assert _sentence(text).isprintable()


def _sentence(text: str) -> str:
    """Why a configuration is refused; empty where it is not."""
    try:
        assert isinstance(parse_settings(text, name="c"), Settings)
    except BadFileError as error:
        return str(error)
    return ""


@given(st.integers(1, 999_999), st.sampled_from(["ms", "s", "m", "h"]))
@settings(max_examples=50)
def test_a_duration_that_is_written_out_is_read_as_the_same(number: int, unit: str) -> None:
    duration = Duration.parse(f"{number}{unit}")
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize("text", ["", "s", "1", "1 s", "1S", "\u0661s", "1s\n", "1e3s", "1us", "9999999999s", None, 1, 1.0])
def test_what_names_no_span_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        Duration.parse(text)

"""The file that the collector is configured by, while it runs: taken whole or not at all."""

import os
from pathlib import Path

import pytest

from collector.configuration import AT_START, Candidate, Configuration, candidate, load_configuration, parse_configuration
from collector.document import BadFileError
from collector.settings import SECOND, Settings, parse_settings


def mounted(folder: Path, text: str, version: str) -> Path:
    """As the kubelet mounts a ConfigMap: a new folder, and a symbolic link that is replaced in one step."""
    (folder / version).mkdir()
    (folder / version / "config.yaml").write_text(text)
    (folder / "..data_tmp").symlink_to(version)
    (folder / "..data_tmp").rename(folder / "..data")
    path = folder / "config.yaml"
    if not path.is_symlink():
        path.symlink_to("..data/config.yaml")
    return path


def looked(configuration: Configuration) -> Candidate:
    found = configuration.changed()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("external: [{name: a, host: localhost, probes: [icmp]}]", "external[0].host: localhost is never probed: a name of"),
        ("external: [{name: a, host: x.test, probes: [ping]}]", "external[0].probes[0]: expected icmp, tcp:PORT or"),
        ("discovery: {ingress_url: 'ftp://x.test/'}", "discovery.ingress_url: expected icmp, tcp:PORT or"),
        ("discovery: {ingress_url: 'http://169.254.169.254/'}", "discovery.ingress_url: 169.254.169.254 is never probed"),
        ("plan: {intervall: 10s}", "plan.intervall: unknown key; allowed are "),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(BadFileError) as refusal:
        parse_configuration(text, name="config.yaml")
    assert str(refusal.value).startswith(f"config.yaml: {sentence}")


def test_without_a_file_everything_has_its_default_and_stays() -> None:
    configuration = Configuration()
    assert configuration.settings == Settings() == load_configuration(None)
    assert configuration.changed() is None


def test_survive_63_a_wrong_configmap_leaves_the_old_one_in_force_and_is_said_once(tmp_path: Path) -> None:
    path = mounted(tmp_path, "plan: {interval: 5s}", "one")
    configuration = Configuration(path)
    before = configuration.settings
    assert configuration.changed() is None
    mounted(tmp_path, "plan: {interval: 5}", "two")
    assert configuration.changed() is None
    assert configuration.settings is before
    sentence = configuration.refused
    assert sentence.startswith("config.yaml: plan.interval: ")
    assert configuration.changed() is None
    assert configuration.refused is sentence, "it was not read again"
    mounted(tmp_path, "plan: {interval: 6s}", "three")
    configuration.take(looked(configuration))
    assert (configuration.settings.plan.interval, configuration.refused) == (6 * SECOND, "")


def test_a_file_that_is_gone_is_refused_and_one_that_is_back_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    configuration = Configuration(path)
    path.unlink()
    assert configuration.changed() is None
    assert configuration.refused.endswith("config.yaml: cannot be read: No such file or directory")
    path.write_text("export: {pairs: true}")
    configuration.take(looked(configuration))
    assert configuration.settings.export.pairs
    assert not configuration.refused


def test_what_cannot_change_while_it_runs_is_said_and_the_rest_is_taken() -> None:
    before = parse_settings("operators: {listen: '127.0.0.1:1'}", name="c")
    after = parse_settings("{operators: {listen: '127.0.0.1:2'}, plan: {report: 5s, peers: 7}}", name="c")
    found = candidate(before, after)
    assert found.waiting == ("operators.listen", "plan.report")
    assert found.settings.operators == before.operators
    assert (found.settings.plan.report, found.settings.plan.peers) == (before.plan.report, 7)
    assert candidate(before, before) == Candidate(before, ())


def test_what_waits_is_in_force_after_a_start_and_waits_no_more_when_it_is_taken_back(tmp_path: Path) -> None:
    path = mounted(tmp_path, "{}", "one")
    configuration = Configuration(path)
    mounted(tmp_path, "agents: {tls: {certificate: a, key: b}}", "two")
    configuration.take(looked(configuration))
    assert configuration.waiting == ("agents.tls",)
    assert configuration.settings.agents.tls is None
    started = Configuration(path)
    assert started.settings.agents.tls is not None
    mounted(tmp_path, "{}", "three")
    configuration.take(looked(configuration))
    assert not configuration.waiting


def test_every_path_that_is_read_at_the_start_alone_exists() -> None:
    for path in AT_START:
        value: object = Settings()
        for part in path.split("."):
            value = getattr(value, part)


def test_half_of_a_file_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    configuration = Configuration(path)
    path.write_text("plan: {inter")
    os.utime(path, ns=(1, 1))
    assert configuration.changed() is None
    assert configuration.refused == ""
    path.write_text("plan: {interval: 5s}")
    os.utime(path, ns=(2, 2))
    assert configuration.changed() is None
    assert looked(configuration).settings.plan.interval == 5 * SECOND

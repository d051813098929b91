import tomllib
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from collector.export.own import VERSION, OwnMetrics


def test_two_processes_in_one_do_not_share_counters() -> None:
    one, other = OwnMetrics(), OwnMetrics()
    one.reports_refused.labels("absurd").inc()
    assert b'netmatrix_reports_refused_total{reason="absurd"} 1.0' in one.render()
    assert b"absurd" not in other.render()


def test_what_it_says_can_be_parsed_and_has_the_version() -> None:
    found = {family.name: family for family in text_string_to_metric_families(OwnMetrics().render().decode())}
    assert found["netmatrix_build_info"].samples[0].labels["version"] == VERSION
    assert "netmatrix_ingest_seconds" in found


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_a_counter_is_one_series() -> None:
    assert b"_created" not in OwnMetrics().render()

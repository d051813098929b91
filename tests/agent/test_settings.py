import pytest

from agent.settings import VARIABLES, Settings, SettingsError, read

LEAST = {"NETMATRIX_COLLECTOR": "https://collector:8443/", "NETMATRIX_TOKEN_FILE": "/var/run/token"}


def settings(**variables: str) -> Settings:
    return read(LEAST | {f"NETMATRIX_{name}": value for name, value in variables.items()}, hostname="host-1", uid="uid-1")


def test_two_variables_are_enough_and_the_rest_has_the_documented_defaults() -> None:
    given = settings()
    assert (given.collector, given.vantage, given.pod_uid) == ("https://collector:8443", "host-1", "uid-1")
    assert (given.echo_port, given.http_port, given.max_pps, given.max_peers) == (8620, 9620, 100, 256)
    assert (given.min_interval_ns, given.allow_loopback, given.log) == (1_000_000_000, False, "json")


def test_durations_have_units() -> None:
    assert settings(MIN_INTERVAL="250ms").min_interval_ns == 250_000_000
    assert settings(MIN_INTERVAL="1.5s").min_interval_ns == 1_500_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COLLECTOR", "collector:8443"),
        ("COLLECTOR", "ftp://collector"),
        ("COLLECTOR", "https://user:secret@collector"),
        ("COLLECTOR", "https://collector/path"),
        ("COLLECTOR", "https://collector:99999"),
        ("COLLECTOR", ""),
        ("TOKEN_FILE", ""),
        ("VANTAGE", "n 1"),
        ("VANTAGE", ""),
        ("POD_UID", "x\ny"),
        ("ECHO_PORT", "0"),
        ("ECHO_PORT", "65536"),
        ("HTTP_PORT", "http"),
        ("MAX_PPS", "1"),
        ("MAX_PPS", "-5"),
        ("MAX_PPS", "1e3"),
        ("MIN_INTERVAL", "1"),
        ("MIN_INTERVAL", "0s"),
        ("MIN_INTERVAL", "nan s"),
        ("MAX_PEERS", "0"),
        ("ALLOW_LOOPBACK", "yes"),
        ("LOG", "xml"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence_that_names_the_variable_and_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings(**{name: value})
    assert str(error.value).startswith(f"NETMATRIX_{name} must be {VARIABLES[name][2]}")
    assert "\n" not in str(error.value)


def test_an_unknown_variable_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"^NETMATRIX_MAX_PSP is not a setting of the agent"):
        settings(MAX_PSP="5")


@pytest.mark.parametrize("name", ["COLLECTOR", "TOKEN_FILE"])
def test_a_missing_required_variable_is_refused_by_name(name: str) -> None:
    given = {variable: value for variable, value in LEAST.items() if variable != f"NETMATRIX_{name}"}
    with pytest.raises(SettingsError, match=f"^NETMATRIX_{name} is missing"):
        read(given, hostname="h", uid="u")


def test_what_kubernetes_adds_for_services_is_not_a_typing_error() -> None:
    settings(
        COLLECTOR_SERVICE_HOST="10.96.0.7",
        COLLECTOR_SERVICE_PORT="8443",
        COLLECTOR_SERVICE_PORT_AGENTS="8443",
        COLLECTOR_PORT="tcp://10.96.0.7:8443",
        COLLECTOR_PORT_8443_TCP="tcp://10.96.0.7:8443",
        COLLECTOR_PORT_8443_TCP_ADDR="10.96.0.7",
    )
    with pytest.raises(SettingsError, match="NETMATRIX_EHCO_PORT"):
        settings(EHCO_PORT="8620")


def test_empty_downward_fields_mean_their_default() -> None:
    given = settings(NODE="", NAMESPACE="", POD="", CA_FILE="")
    assert (given.node, given.namespace, given.pod, given.ca_file) == ("", "", "", None)

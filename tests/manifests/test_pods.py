"""What the pods run is what the programs are: their ports, pages, variables, files and sizes."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from agent.app import DRAIN_SECONDS, FLUSH_SECONDS, LAND_SECONDS
from agent.backlog import MAX_BYTES
from agent.settings import VARIABLES, Settings, read
from collector.__main__ import arguments
from collector.discovery.cluster.pods import PODS as FOLLOWED
from collector.history.file import MOST_BYTES
from collector.settings import Settings as Configuration
from collector.settings import parse_settings
from tests.manifests.rendering import ADDED, INSTALLED, PATCHING, Object, container_of, rendered, the, workloads
from tests.rules.tree import ROOT

USER = 65532
AUDIENCE = "netmatrix-collector"
TAKEN_BY_AN_AGENT_MIB = 43 + MAX_BYTES // 2**20
"""Resident in a mesh of 100, as docs/benchmarks.md measures it, and what it keeps while the collector is away."""
DEFAULTS = read({"NETMATRIX_COLLECTOR": "https://c", "NETMATRIX_TOKEN_FILE": "t"}, hostname="n", uid="u")


def pods() -> dict[str, Object]:
    """Each kind of pod that there is, by the word that tells it."""
    base = rendered("base")
    return {
        "agent": the(base, "DaemonSet", "netmatrix-agent"),
        "collector": the(base, "Deployment", "netmatrix-collector"),
        "vantage": the(rendered("components/vantage"), "StatefulSet", "netmatrix-vantage"),
        "canary": the(rendered("components/canary"), "DaemonSet", "netmatrix-canary"),
        "host": the(rendered("components/host-network"), "DaemonSet", "netmatrix-vantage"),
    }


AGENTS = ("agent", "vantage", "host")
TALKING = (*AGENTS, "collector")
"""Those with pages of their own, and something to say before they leave."""
PODS = (*TALKING, "canary")


def pod_of(name: str) -> Any:
    return pods()[name]["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", PODS)
def test_pods_run_as_the_user_of_the_image_with_a_root_that_nobody_can_write(name: str) -> None:
    security = pod_of(name)["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (USER, USER)
    assert f"USER {USER}:{USER}\n" in (ROOT / "Dockerfile").read_text()
    assert container_of(pods()[name])["securityContext"]["readOnlyRootFilesystem"] is True


def test_discovery_follows_every_pod_but_its_own() -> None:
    labels = [pods()[name]["spec"]["template"]["metadata"]["labels"] for name in PODS if name != "collector"]
    (components,) = re.findall(r"app.kubernetes.io/component in \((.*)\)", FOLLOWED.labels)
    assert {one["app.kubernetes.io/component"] for one in labels} == set(components.split(","))
    assert {f"app.kubernetes.io/name={one['app.kubernetes.io/name']}" for one in labels} == {FOLLOWED.labels.split(",")[0]}


@pytest.mark.parametrize("name", ["agent", "vantage"])
def test_ping_sockets_are_for_the_group_of_the_pod_alone(name: str) -> None:
    security = pod_of(name)["securityContext"]
    assert security["sysctls"] == [{"name": "net.ipv4.ping_group_range", "value": f"{USER} {USER}"}]


def test_a_pod_on_the_network_of_its_host_asks_for_no_sysctl_of_it() -> None:
    assert "sysctls" not in pod_of("host")["securityContext"]
    assert pod_of("host")["hostNetwork"] is True
    for port in container_of(pods()["host"])["ports"]:
        assert port["hostPort"] == port["containerPort"]


@pytest.mark.parametrize("name", AGENTS)
def test_agents_listen_where_their_ports_say(name: str) -> None:
    ports = {port["name"]: (port["containerPort"], port.get("protocol", "TCP")) for port in container_of(pods()[name])["ports"]}
    assert ports == {
        "http-echo": (DEFAULTS.echo_port, "TCP"),
        "stamp": (DEFAULTS.echo_port, "UDP"),
        "http-metrics": (DEFAULTS.http_port, "TCP"),
    }


def test_the_collector_listens_where_its_ports_say() -> None:
    ports = {port["name"]: port["containerPort"] for port in container_of(pods()["collector"])["ports"]}
    assert ports == {"https-agents": Configuration().agents.port, "http-metrics": Configuration().operators.port}


@pytest.mark.parametrize("name", INSTALLED)
def test_ports_of_services_policies_and_monitors_are_ports_of_the_pods_that_they_select(name: str) -> None:
    objects = rendered(name)
    named = {
        pod["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: {
            (port["name"], port.get("protocol", "TCP")) for port in container_of(pod)["ports"]
        }
        for pod in workloads(objects)
    }
    seen = 0
    for one in objects:
        spec, kind = one.get("spec", {}), one["kind"]
        if kind == "Service":
            used = {(port["targetPort"], port.get("protocol", "TCP")) for port in spec["ports"]}
            component = spec["selector"]["app.kubernetes.io/component"]
        elif kind == "NetworkPolicy":
            used = {(port["port"], port["protocol"]) for rule in spec["ingress"] for port in rule.get("ports", ())}
            component = spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        elif kind in {"ServiceMonitor", "PodMonitor"}:
            used = {(port["port"], "TCP") for port in spec.get("endpoints", spec.get("podMetricsEndpoints"))}
            component = spec["selector"]["matchLabels"]["app.kubernetes.io/component"]
        else:
            continue
        assert used
        assert used <= named[component], one["metadata"]["name"]
        seen += 1
    assert seen >= 4


def test_the_collector_follows_the_cluster_and_the_file_that_is_mounted() -> None:
    container = container_of(pods()["collector"])
    asked = arguments(container["args"])
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_of("collector")["volumes"]}
    assert asked.cluster
    assert str(asked.config) == f"{mounts['configuration']['mountPath']}/config.yaml"
    assert "subPath" not in mounts["configuration"], "what is mounted so never changes"
    assert volumes["configuration"] == {"name": "configuration", "configMap": {"name": "netmatrix"}}
    assert Configuration().discovery.namespace == "netmatrix"


def test_the_history_has_a_place_that_can_be_written_to_and_is_large_enough() -> None:
    mounts = {mount["name"]: mount for mount in container_of(pods()["collector"])["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_of("collector")["volumes"]}
    configuration = the(rendered("base"), "ConfigMap", "netmatrix")
    file = parse_settings(configuration["data"]["config.yaml"], name="config.yaml").history.file
    assert Path(file).parent == Path(mounts["history"]["mountPath"])
    assert not mounts["history"].get("readOnly")
    limit = volumes["history"]["emptyDir"]["sizeLimit"]
    assert int(limit.removesuffix("Mi")) * 2**20 > MOST_BYTES


def test_scrape_annotations_name_the_port_of_the_metrics(tmp_path_factory: pytest.TempPathFactory) -> None:
    for workload in workloads(rendered(PATCHING[1], tmp_path_factory.getbasetemp())):
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        (port,) = (port for port in container_of(workload)["ports"] if port["name"] == "http-metrics")
        assert annotations["prometheus.io/port"] == str(port["containerPort"])
        assert annotations["prometheus.io/path"] == "/metrics"
        assert annotations["prometheus.io/scrape"] == "true"


@pytest.mark.parametrize("name", TALKING)
def test_probes_ask_pages_that_the_program_has(name: str) -> None:
    source = ROOT / ("collector/api/operators.py" if name == "collector" else "agent/export.py")
    pages = set(re.findall(r'"(/[a-z]+)"', source.read_text()))
    container = container_of(pods()[name])
    asked = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {kind: probe["path"] for kind, probe in asked.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {probe["path"] for probe in asked.values()} <= pages
    assert {probe["port"] for probe in asked.values()} == {"http-metrics"}
    assert all(container[kind]["timeoutSeconds"] >= 2 for kind in asked)


def environment(name: str) -> dict[str, str]:
    """What the agent finds in such a pod."""
    fields = {"spec.nodeName": "node-1", "metadata.namespace": "team-a", "metadata.name": "vantage-0", "metadata.uid": "u-1"}
    found: dict[str, str] = {}
    for variable in container_of(pods()[name])["env"]:
        value = variable.get("value") or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], value)
    return found


def settings_of(name: str) -> Settings:
    return read(environment(name), hostname="h", uid="u")


@pytest.mark.parametrize("name", AGENTS)
def test_agents_take_their_variables(name: str) -> None:
    settings = settings_of(name)
    assert (settings.node, settings.namespace, settings.pod, settings.pod_uid) == ("node-1", "team-a", "vantage-0", "u-1")
    assert settings.vantage == ("node-1" if name == "agent" else "team-a/vantage-0")
    assert {variable.removeprefix("NETMATRIX_") for variable in environment(name)} <= VARIABLES.keys()


@pytest.mark.parametrize("name", AGENTS)
def test_agents_ask_the_service_of_the_collector(name: str) -> None:
    service = the(rendered("base"), "Service", "netmatrix-collector")
    namespace = "team-a" if name == "agent" else "netmatrix"  # an agent is where the collector is
    (port,) = (port["port"] for port in service["spec"]["ports"] if port["name"] == "https-agents")
    assert settings_of(name).collector == f"https://{service['metadata']['name']}.{namespace}.svc:{port}"


@pytest.mark.parametrize("name", AGENTS)
def test_agents_find_their_token_and_their_authority_where_they_look(name: str) -> None:
    (volume,) = pod_of(name)["volumes"]
    (mount,) = container_of(pods()[name])["volumeMounts"]
    assert "subPath" not in mount, "what is mounted so never changes"
    token, authority = volume["projected"]["sources"]
    settings = settings_of(name)
    assert str(settings.token_file) == f"{mount['mountPath']}/{token['serviceAccountToken']['path']}"
    assert str(settings.ca_file) == f"{mount['mountPath']}/{authority['configMap']['items'][0]['path']}"
    assert token["serviceAccountToken"]["audience"] == AUDIENCE
    assert 600 <= token["serviceAccountToken"]["expirationSeconds"] <= 4 * 3600
    assert authority["configMap"]["optional"] is True
    assert authority["configMap"]["name"] == "netmatrix-ca"


@pytest.mark.parametrize("name", AGENTS)
def test_agents_have_no_token_for_the_api_server(name: str) -> None:
    assert pod_of(name)["automountServiceAccountToken"] is False
    accounts = [one for one in rendered("base") + rendered("components/vantage") if one["kind"] == "ServiceAccount"]
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


@pytest.mark.parametrize("name", TALKING)
def test_there_is_time_enough_to_leave(name: str) -> None:
    slept = container_of(pods()[name]).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    leaving = LAND_SECONDS + FLUSH_SECONDS + DRAIN_SECONDS
    assert pod_of(name)["terminationGracePeriodSeconds"] >= 1.5 * (slept + leaving)
    assert (slept > 0) == (name != "collector"), "which would only be away for longer"


@pytest.mark.parametrize("name", ["agent", "host"])
def test_agents_are_on_every_node_and_roll_a_tenth_at_a_time(name: str) -> None:
    pod = pod_of(name)
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["priorityClassName"] == the(rendered("base"), "PriorityClass", "netmatrix")["metadata"]["name"]
    assert pods()[name]["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "10%"}


@pytest.mark.parametrize("name", PODS)
def test_no_pod_keeps_the_cluster_autoscaler_from_taking_its_node_away(name: str) -> None:
    """It leaves those of a DaemonSet out of account, and takes any with a volume of their node's for one that has to stay."""
    workload = pods()[name]
    local = [one for one in pod_of(name).get("volumes", ()) if "emptyDir" in one or "hostPath" in one]
    annotations = workload["spec"]["template"]["metadata"]["annotations"]
    allowed = annotations.get("cluster-autoscaler.kubernetes.io/safe-to-evict")
    assert workload["kind"] == "DaemonSet" or not local or allowed == "true"


def test_there_is_one_collector_at_a_time() -> None:
    spec = pods()["collector"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_agents_of_each_kind_differ_in_nothing_but_what_makes_the_kind() -> None:
    agent, vantage, host = (deepcopy(pod_of(name)) for name in AGENTS)
    for pod in (agent, vantage, host):
        for variable in pod["containers"][0]["env"]:
            if variable["name"] in {"NETMATRIX_VANTAGE", "NETMATRIX_COLLECTOR"}:
                variable["value"] = ""
        for port in pod["containers"][0]["ports"]:
            port.pop("hostPort", None)
        del pod["serviceAccountName"]
    assert {key for key in agent if agent[key] != host.get(key)} == {"securityContext"}
    assert host.keys() - agent.keys() == {"hostNetwork", "dnsPolicy"}
    assert {key for key in agent if agent[key] != vantage.get(key)} == {"priorityClassName", "tolerations"}
    assert vantage.keys() - agent.keys() == {"topologySpreadConstraints"}


def mebibytes(quantity: str) -> int:
    factor = {"Mi": 1, "Gi": 1024}
    return int(quantity[:-2]) * factor[quantity[-2:]]


@pytest.mark.parametrize("name", [*INSTALLED, *ADDED])
def test_every_container_asks_for_what_it_needs_and_is_never_throttled(name: str) -> None:
    for workload in workloads(rendered(name)):
        resources = container_of(workload)["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}
        assert resources["limits"].keys() == {"memory"}, "a CPU limit would show up as latency"
        assert mebibytes(resources["limits"]["memory"]) >= 1.5 * mebibytes(resources["requests"]["memory"])
    if name in INSTALLED:
        agent = container_of(the(rendered(name), "DaemonSet", "netmatrix-agent"))["resources"]
        assert mebibytes(agent["requests"]["memory"]) >= TAKEN_BY_AN_AGENT_MIB


@pytest.mark.parametrize("name", INSTALLED)
def test_the_collector_may_use_more_memory_than_its_matrix_takes(name: str) -> None:
    objects = rendered(name)
    text = the(objects, "ConfigMap", "netmatrix")["data"]["config.yaml"]
    configuration = parse_settings(text, name="config.yaml")
    limit = mebibytes(container_of(the(objects, "Deployment", "netmatrix-collector"))["resources"]["limits"]["memory"])
    assert configuration.matrix.max_bytes / 2**20 <= limit / 2

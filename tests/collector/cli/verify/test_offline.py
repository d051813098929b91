"""Manifests alone: what is declared against what the policies among them say."""

import json
from pathlib import Path
from typing import Any

import pytest

from collector.cli import main
from tests.collector.cli.verify.shop import CLOSED, DECLARED, NAMESPACES, OPENED, WORKLOADS, shop, written


def verified(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    status = main(["verify", "--manifests", str(folder), "-o", "json", *options])
    return status, json.loads(capsys.readouterr().out)


def lines(answer: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [(one["table"], one["expected"], one["actual"], one["verdict"]) for one in answer["lines"]]


def test_the_three_tables_hold_where_the_policies_let_through_what_is_declared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = verified(shop(tmp_path, policy=OPENED, expectations=DECLARED), capsys)
    assert status == 0
    assert answer["holds"] is True
    assert sorted(lines(answer)) == [
        ("namespaces", "allow", "allow", "ok"),
        ("pods", "allow", "allow", "ok"),
        ("services", "allow", "allow", "ok"),
    ]


def test_what_a_policy_closes_is_broken_with_the_policy_named_and_the_status_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = verified(shop(tmp_path, policy=CLOSED, expectations=DECLARED), capsys)
    assert status == 1
    broken = [one for one in answer["lines"] if one["verdict"] == "broken"]
    assert {one["table"] for one in broken} == {"services", "namespaces"}
    assert all(one["because"] == "ingress: no rule of NetworkPolicy pay/db allows it" for one in broken)
    assert all(one["name"] == "shop/api-to-db" and one["port"] == "TCP 5432" for one in broken)


def test_what_should_be_closed_and_is_not_is_a_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed = DECLARED.replace("expect: allow\n---", "expect: deny\n---")
    status, answer = verified(shop(tmp_path, policy=OPENED, expectations=closed), capsys)
    assert status == 1
    assert sorted(line for line in lines(answer) if line[3] == "leak") == [
        ("namespaces", "deny", "allow", "leak"),
        ("services", "deny", "allow", "leak"),
    ]
    assert verified(shop(tmp_path, policy=CLOSED, expectations=closed), capsys)[0] == 0


def test_one_open_target_is_enough_where_any_is_to_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = OPENED.replace("podSelector: {matchLabels: {app: postgres}}", 'podSelector: {matchLabels: {half: "1"}}')
    second = WORKLOADS.replace("name: db, namespace: pay", "name: dc, namespace: pay").replace(
        "labels: {app: postgres}", 'labels: {app: postgres, half: "1"}'
    )
    only_pods = DECLARED.replace("  - service: {name: db, namespace: pay}\n", "")
    folder = shop(tmp_path, policy=half.replace("team: checkout", "team: nobody"), expectations=only_pods, second=second)
    assert verified(folder, capsys)[0] == 1
    status, answer = verified(
        written(folder, expectations=only_pods.replace("expect: allow\n---", "expect: allow\n  match: any\n---")), capsys
    )
    assert status == 0
    assert any(one["because"].startswith("another target is enough") for one in answer["lines"])


PORT = OPENED.replace("port: 5432", "port: 70000")
PEER = OPENED.replace("[{namespaceSelector", "[{}, {namespaceSelector")


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (PORT, "policy.yaml: line 10: spec.ingress[0].ports[0].port: expected int <= 65535"),
        (OPENED.replace("ports:", "prots:"), "policy.yaml: line 10: spec.ingress[0].prots: unknown key"),
        (OPENED.replace("[Ingress]", "[ingress]"), "policy.yaml: line 7: spec.policyTypes[0]: ingress is not allowed"),
        (PEER, "policy.yaml: line 9: spec.ingress[0].from[0]: needs a podSelector, a namespaceSelector or an ipBlock"),
        (OPENED.replace("name: db", "name: Db"), "policy.yaml: line 4: metadata.name: 'Db' is not a name"),
    ],
)
def test_a_policy_that_the_api_would_refuse_is_said_with_file_line_and_field(
    policy: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = verified(shop(tmp_path, policy=policy, expectations=DECLARED), capsys)
    assert status == 1
    (fault,) = answer["faults"]
    assert fault["because"].startswith(sentence)


def test_what_is_no_yaml_is_said_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--manifests", str(shop(tmp_path, policy="a: ["))]) == 2
    assert capsys.readouterr().err == "netmatrix: policy.yaml: line 2: not YAML: did not find expected node content\n"


def test_what_a_refused_policy_was_about_is_unknown_and_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, answer = verified(shop(tmp_path, policy=OPENED.replace("5432", "70000"), expectations=DECLARED), capsys)
    assert {line[3] for line in lines(answer) if line[0] != "pods"} == {"unknown"}


def test_further_expectations_come_in_a_file_as_documents_or_as_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    shop(folder, policy=CLOSED)
    documents = tmp_path / "documents.yaml"
    documents.write_text(DECLARED)
    listed = tmp_path / "listed.yaml"
    listed.write_text(
        "expectations:\n" + "".join(f"- {part.strip().replace(chr(10), chr(10) + '  ')}\n" for part in DECLARED.split("---"))
    )
    first, second = (verified(folder, capsys, "-f", str(file)) for file in (documents, listed))
    assert first == second
    assert first[0] == 1
    listed.write_text(
        "expectations:\n- kind: ReachabilityExpectation\n  metadata: {name: a}\n  spec: {to: [{nodes: {}}], expect: allow}\n"
    )
    assert main(["verify", "--manifests", str(folder), "-f", str(listed)]) == 2
    said = capsys.readouterr().err
    assert said == (
        "netmatrix: listed.yaml: line 4: expectations[0].spec.to[0].nodes: needs the kind ClusterReachabilityExpectation\n"
    )


def test_what_is_wrong_with_a_declaration_is_a_line_and_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shop(tmp_path, expectations=DECLARED.replace("app: postgres", "app: mysql"))
    status, answer = verified(folder, capsys)
    assert status == 1
    assert {"name": "shop/api-to-db", "because": "to: pods selects nothing"} in answer["faults"]


def test_one_namespace_alone_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shop(tmp_path, policy=CLOSED, expectations=DECLARED)
    assert verified(folder, capsys, "--namespace", "pay") == (0, {**verified(folder, capsys, "-n", "pay")[1]})
    assert verified(folder, capsys, "-n", "shop")[0] == 1


def test_without_declarations_what_follows_from_policies_is_shown_and_nothing_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = verified(shop(tmp_path, policy=CLOSED), capsys)
    assert status == 0
    assert ("namespaces", "deny", "-", "-") in lines(answer)
    assert ("pods", "allow", "-", "-") in lines(answer)


def test_policies_of_other_kinds_make_what_they_may_be_about_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cilium = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: l7, namespace: pay}\nspec: {}\n"
    status, answer = verified(shop(tmp_path, policy=OPENED, cilium=cilium, expectations=DECLARED), capsys)
    assert status == 1
    assert {line[3] for line in lines(answer) if line[0] != "pods"} == {"unknown"}
    assert "CiliumNetworkPolicy pay/l7 is of a kind that is not understood" in answer["notes"]


def test_blocks_of_addresses_are_matched_as_the_plugin_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = OPENED.replace("{namespaceSelector: {matchLabels: {team: checkout}}}", "{ipBlock: {cidr: 10.0.0.0/8}}")
    folder = shop(tmp_path, policy=block, expectations=DECLARED)
    assert {line[3] for line in lines(verified(folder, capsys)[1]) if line[0] != "pods"} == {"unknown"}
    assert verified(folder, capsys, "--cni-profile", "calico")[0] == 0
    assert verified(folder, capsys, "--cni-profile", "cilium")[0] == 1
    assert verified(folder, capsys, "--cni-profile", "calico", "--pod-cidr", "172.20.0.0/16")[0] == 1


@pytest.mark.parametrize(
    "options", [["--cni-profile", "magic"], ["--pod-cidr", "10.0.0.0/99"], ["--pod-cidr", "fd00::/64"], ["-o", "yaml"]]
)
def test_a_wrong_command_line_is_status_2(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["verify", "--manifests", str(shop(tmp_path)), *options])
    assert caught.value.code == 2


def test_a_folder_without_manifests_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--manifests", str(tmp_path)]) == 2
    assert "no file under it ends in .yaml, .yml, .json" in capsys.readouterr().err
    assert main(["verify", "--manifests", str(tmp_path / "nowhere")]) == 2


def test_lists_anchors_and_json_are_read_as_kubectl_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        f"- {part.strip().replace(chr(10), chr(10) + '  ')}\n" for part in (NAMESPACES + "---" + WORKLOADS).split("---")
    )
    metadata = {"name": "db", "namespace": "pay"}
    policy = json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata})
    (tmp_path / "policy.json").write_text(policy)
    anchored = DECLARED.replace("matchLabels: {app: postgres}", "matchLabels: &db {app: postgres}")
    status, answer = verified(written(tmp_path, listed=listed, expectations=anchored), capsys)
    assert status == 1
    assert len(answer["lines"]) == 3

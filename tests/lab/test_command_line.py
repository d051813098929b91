import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import __main__ as command
from lab import rootless
from lab.cluster import Cluster
from lab.demo import taken, where_it_bites
from lab.playground import PLAYGROUND, meant
from lab.reading import Refused
from lab.run import Result
from lab.scenario import Scenario

ANY_SCENARIO = "name: x\nexpect: {cells: [{between: [1s, 2s], loss: {max: 0}}]}\n"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(command, "TOOLS", ())


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody without root, and without a lab."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(command, "TOOLS", ())
    monkeypatch.setattr(rootless, "labs", dict)


@pytest.mark.usefixtures("user")
def test_without_root_and_without_user_namespaces_one_sentence_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rootless, "refusal", lambda: "this machine refuses")
    assert command.main(["demo", "--port", "18099"]) == 2
    assert capsys.readouterr().err == "this machine refuses\n"


@pytest.mark.usefixtures("user")
def test_without_root_the_same_words_are_run_again_in_a_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[tuple[list[str], bool]] = []

    def become(words: list[str], door: socket.socket | None) -> int:
        again.append((words, door is not None))
        if door:
            door.close()
        return 0

    monkeypatch.setattr(rootless, "refusal", str)
    monkeypatch.setattr(rootless, "become", become)
    for words in (["demo", "--port", "18099"], ["up", "x.yaml"], ["run", "x.yaml"]):
        assert command.main(words) == 0
    assert again == [(["demo", "--port", "18099"], True), (["up", "x.yaml"], True), (["run", "x.yaml"], False)]


@pytest.mark.usefixtures("user")
def test_without_root_a_later_command_goes_to_where_the_lab_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    visits: list[tuple[int, list[str]]] = []

    def visit(pid: int, words: list[str]) -> int:
        visits.append((pid, words))
        return 0

    monkeypatch.setattr(rootless, "visit", visit)
    assert command.main(["down"]) == 0
    assert command.main(["clear"]) == 2
    assert capsys.readouterr() == (
        "there is no lab\n",
        "no lab is running: `python -m lab up FILE` or `make demo` starts one\n",
    )
    monkeypatch.setattr(rootless, "labs", lambda: {"lab": 7, "demo8080": 8})
    assert command.main(["clear"]) == 0
    assert command.main(["clear", "--port", "8080"]) == 0
    assert command.main(["up", "x.yaml"]) == 2
    assert command.main(["down"]) == 0
    assert visits == [(7, ["clear"]), (8, ["clear", "--port", "8080"]), *((pid, ["down"]) for pid in (7, 8))]


def test_the_lab_that_is_meant_is_the_playground_the_only_demo_or_the_one_at_a_port() -> None:
    assert meant(["demo8080", PLAYGROUND, "demo9"], None) == PLAYGROUND
    assert meant(["run1x1", "demo8080"], None) == "demo8080"
    assert meant(["demo8080", PLAYGROUND, "demo9"], 9) == "demo9"
    with pytest.raises(Refused, match="no demo is running at port 7"):
        meant(["demo8080"], 7)
    with pytest.raises(Refused, match="say which with --port"):
        meant(["demo8080", "demo9"], None)
    with pytest.raises(Refused, match="no lab is running"):
        meant(["run1x1"], None)


def test_what_a_policy_closes_is_not_where_a_fault_bites() -> None:
    lossy = cells(lambda source, target: 10 * ((source, target) == ("n1", "n2")))
    for cell in lossy:
        if cell["from"]["node"] == "n1" and cell["to"]["node"] == "n2":  # type: ignore[index]
            cell |= {"from": {"node": "n1", "namespace": "pay"}, "to": {"node": "n2", "namespace": "shop"}}
    assert "between all others 0 of 10 probes lost" in where_it_bites(lossy, "n3")[0]


def test_a_scenario_that_says_nothing_on_a_fabric_has_neither_passed_nor_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(command, "TOOLS", ())
    file = tmp_path / "x.yaml"
    file.write_text(ANY_SCENARIO + "cluster: {fabric: vxlan}\nonly: {fabric: vxlan, because: it breaks tunnels}\n")
    assert command.main(["run", "--fabric", "flat", str(file)]) == 0
    seen = capsys.readouterr()
    assert json.loads(seen.out)["not_applicable"] == "it breaks tunnels"
    assert json.loads(seen.out)["passed"] is False
    assert seen.err == "x: not applicable: it breaks tunnels\n0 of 1 passed; not applicable: x\n"


@pytest.fixture
def play(root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:  # noqa: ARG001 - as root
    """Run scenarios that end as they are told to: by name, whether it passes the first time, the second, and so on."""

    def play(ends: dict[str, list[bool]], *words: str) -> int:
        async def run(scenario: Scenario, **_: Any) -> Result:
            return Result(scenario.name, passed=ends[scenario.name].pop(0))

        monkeypatch.setattr(command, "run", run)
        files = []
        for name in ends:
            file = tmp_path / name
            file.write_text(ANY_SCENARIO.replace("name: x", f"name: {name}"))
            files.append(str(file))
        return command.main(["run", *words, *files])

    return play


def test_what_fails_beside_others_is_run_again_alone_where_that_is_asked_for_and_is_named(
    play: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {"good": [True], "slow": [False, True]}
    assert play(ends, "--jobs", "2", "--again") == 0
    assert ends == {"good": [], "slow": []}
    seen = capsys.readouterr()
    assert seen.err == "2 of 2 passed; failed beside others and were run again alone: slow\n"
    told = [json.loads(line) for line in seen.out.splitlines()]
    assert sorted((one["name"], one["passed"], one["beside_others"]) for one in told) == [
        ("good", True, False),
        ("slow", False, True),
        ("slow", True, False),
    ]


def test_what_fails_again_alone_has_failed(play: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert play({"good": [True], "bad": [False, False]}, "--jobs", "2", "--again") == 1
    assert capsys.readouterr().err == "1 of 2 passed; failed: bad; failed beside others and were run again alone: bad\n"


@pytest.mark.parametrize("words", [["--jobs", "1", "--again"], ["--jobs", "2"]])
def test_what_fails_alone_or_unasked_is_not_run_again(
    play: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert play({"bad": [False]}, *words) == 1
    assert capsys.readouterr().err == "0 of 1 passed; failed: bad\n"


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(command, "TOOLS", ("no-such-tool",))
    assert command.main(["down"]) == 2
    assert "no-such-tool" in capsys.readouterr().err


@pytest.mark.usefixtures("root")
def test_a_taken_port_is_refused_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert command.main(["demo", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"port {port} of 127.0.0.1 cannot be used (Address already in use): choose another with --port\n"
    )
    assert taken(port) == ""


@pytest.mark.usefixtures("root")
def test_a_file_that_could_not_be_written_in_the_end_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["demo", "--port", "18099", "--json", "/nowhere/out.json"]) == 2
    assert capsys.readouterr().err == "/nowhere/out.json cannot be written: there is no directory /nowhere\n"


@pytest.mark.parametrize("words", [["--for", "5s"], ["--for", "soon"], ["--port", "0"], ["--port", "70000"]])
def test_a_wrong_option_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["demo", *words])
    assert end.value.code == 2
    assert "demo: error:" in capsys.readouterr().err


def test_a_wrong_fabric_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["demo", "--fabric", "ring"])
    assert "'ring' is not a fabric: flat or vxlan\n" in capsys.readouterr().err


@pytest.mark.usefixtures("root")
def test_one_bad_scenario_stops_a_run_before_it_builds_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(ANY_SCENARIO)
    bad.write_text(ANY_SCENARIO + "cluster: {nodes: 0}\n")
    assert command.main(["run", str(good), str(bad)]) == 2
    assert capsys.readouterr().err == f"{bad}: cluster: nodes is 0, allowed are 1 to 60\n"


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("outcomes", "status"), [([True, True], 0), ([True, False], 1)])
def test_the_exit_status_of_a_run_is_0_only_if_all_passed(
    outcomes: list[bool],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(ANY_SCENARIO)
    results = iter(outcomes)

    async def run(*_: object, **__: object) -> Result:
        return Result("x", passed=next(results))

    monkeypatch.setattr(command, "run", run)
    assert command.main(["run", str(file), str(file), "--json"]) == status
    assert len(capsys.readouterr().out.splitlines()) == 2, "one JSON object per scenario"


@pytest.mark.usefixtures("root")
def test_a_fault_without_a_lab_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(_: str) -> None:
        raise LookupError

    monkeypatch.setattr(Cluster, "attach", none)
    assert command.main(["fault", "loss", "node=n1"]) == 2
    assert capsys.readouterr().err == "no lab is running: `python -m lab up FILE` or `make demo` starts one\n"


def test_the_list_shows_every_scenario_and_the_cases_that_it_proves(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["list"]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(listed) == {file.stem for file in command.SCENARIOS.glob("*.yaml")}
    assert listed["agent-suspended"].endswith(" [survives 6, 8]")


def cells(number: Callable[[str, str], int]) -> list[dict[str, object]]:
    return [
        {
            "layer": "pod",
            "from": {"node": source, "namespace": "netmatrix"},
            "to": {"node": target, "namespace": "netmatrix"},
            "sent": 10,
            "late": 0,
            "failed": {"timeout": number(source, target)},
            "measures": {
                "forward_lost": number(source, target) * (target == "n3"),
                "backward_lost": number(source, target) * (source == "n3"),
            },
        }
        for source in ("n1", "n2", "n3")
        for target in ("n1", "n2", "n3")
    ]


def test_where_it_bites_is_told_with_the_numbers_of_the_matrix() -> None:
    third = "6 of 20 probes lost (30.0 %)"
    assert where_it_bites(cells(lambda source, target: 3 * ("n3" in {source, target})), "n3") == [
        f"it bites at n3: to it {third}, from it {third}, between all others 0 of 20 probes lost (0.0 %)",
        "udp tells the directions apart: 12 packets lost on the way into n3, 0 on the way out of it",
    ]

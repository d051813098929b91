"""Every format is what its readers take: people, scripts, JUnit readers and TAP harnesses."""

import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.verify.formats import as_json, junit, table, tap
from collector.cli.verify.report import Fault, Line, Report

OK = Line("pods", "shop/a", "shop/b", "TCP 80", "allow", "open", "ok", "3 of 3 probes answered", "shop/a-to-b")
BROKEN = OK._replace(table="services", target="pay/db", verdict="broken", actual="timeout", because="nobody # answered")
UNKNOWN = Line("namespaces", "shop/a", "pay/b", "ICMP", "unspecified", "open", "unknown", "the plugin decides")
UNPROVEN = BROKEN._replace(table="outside", verdict="unverifiable")
WHOLE = Report([OK, BROKEN, UNKNOWN, UNPROVEN], [Fault("shop/c", "to: pods selects nothing")], ["2 pods"])

texts = st.text(max_size=20)
reports = st.builds(
    Report,
    st.lists(
        st.builds(
            Line,
            st.sampled_from(["pods", "services", "namespaces", "outside"]),
            *[texts] * 5,
            st.sampled_from(["ok", "broken", "leak", "unknown", "-"]),
            texts,
            texts,
        ),
        max_size=4,
    ),
    st.lists(st.builds(Fault, texts, texts), max_size=2),
    st.lists(texts, max_size=2),
)


def test_the_table_has_the_tables_that_people_draw_and_a_sum() -> None:
    text = table(WHOLE, colour=False)
    titles = ["Pod to pod, same namespace", "Pod to service", "Pod to pod, across namespaces", "Nodes and hosts"]
    assert [line for line in text.splitlines() if line in titles] == titles
    assert "shop/a  shop/b  TCP 80  allow     open    ok       shop/a-to-b: 3 of 3 probes answered" in text
    assert text.splitlines()[-1] == "1 of 4 hold, 2 do not, of 1 nobody can say, 1 wrong"
    assert "\x1b[31m" in table(WHOLE, colour=True)
    assert table(Report([], []), colour=False) == "0 of 0 hold\n"


def test_json_says_of_each_line_whether_it_holds() -> None:
    answer = json.loads(as_json(WHOLE))
    assert [line["holds"] for line in answer["lines"]] == [True, False, None, False]
    assert answer["holds"] is False
    assert answer["faults"] == [{"name": "shop/c", "because": "to: pods selects nothing"}]


ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time", "disabled"},
    "testsuite": {
        "name",
        "tests",
        "failures",
        "errors",
        "skipped",
        "time",
        "timestamp",
        "hostname",
        "id",
        "package",
        "disabled",
    },
    "testcase": {"name", "classname", "time", "status", "assertions"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
}
CHILDREN = {"testsuites": {"testsuite"}, "testsuite": {"testcase"}, "testcase": {"failure", "error", "skipped"}}
NEEDED = {"testsuites": set[str](), "testsuite": {"name", "tests"}, "testcase": {"name", "classname"}, "failure": set[str]()}


def checked(element: ET.Element) -> None:
    """As Jenkins' schema of JUnit has it (junit-10.xsd of its xunit plugin), element by element."""
    assert set(element.attrib) <= ATTRIBUTES[element.tag]
    assert NEEDED.get(element.tag, set()) <= set(element.attrib)
    assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    if element.tag == "testcase":
        assert len(element) <= 1
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"), ("tests", "testcase")):
        if count in element.attrib:
            assert int(element.attrib[count]) == len(list(element.iter(tag)))
    for child in element:
        checked(child)


def test_junit_has_a_suite_for_each_table_and_one_for_what_is_wrong() -> None:
    root = ET.fromstring(junit(WHOLE))  # noqa: S314 - our own
    checked(root)
    assert [suite.get("name") for suite in root] == [
        "netmatrix.pods",
        "netmatrix.services",
        "netmatrix.namespaces",
        "netmatrix.outside",
        "netmatrix.expectations",
    ]
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "expected allow, actual timeout: shop/a-to-b: nobody # answered"


@given(report=reports)
def test_junit_is_valid_whatever_is_in_it(report: Report) -> None:
    checked(ET.fromstring(junit(report).encode("utf-8", "replace")))  # noqa: S314 - our own


def test_tap_is_read_by_a_harness(tmp_path: Path) -> None:
    prove = shutil.which("prove")
    if prove is None:
        pytest.skip("prove, of Perl, is not here")
    file = tmp_path / "report.tap"
    for report, ok in ((WHOLE, False), (WHOLE._replace(lines=[OK, UNKNOWN], faults=[]), True)):
        file.write_text(tap(report))
        result = subprocess.run([prove, "-v", "--exec", "cat", file], capture_output=True, text=True, check=False)
        assert "Parse errors" not in result.stdout
        assert (result.returncode == 0) is ok
    assert "# skip the plugin decides" in result.stdout.lower()


@given(report=reports)
def test_tap_has_its_plan_and_one_line_for_each_point_whatever_is_in_it(report: Report) -> None:
    first, plan, *rest = tap(report).splitlines()
    assert first == "TAP version 13"
    assert plan == f"1..{len(report.lines) + len(report.faults)}"
    points = [line for line in rest if line.startswith(("ok ", "not ok "))]
    assert len(points) == len(report.lines) + len(report.faults)
    assert all(line.startswith(("ok ", "not ok ", "  ", "# ")) or line == "#" for line in rest)


@pytest.mark.parametrize(("line", "holds"), [(OK, True), (BROKEN, False), (UNKNOWN, None), (UNPROVEN, False)])
def test_what_nobody_can_say_only_does_for_what_nobody_declared(line: Line, holds: bool | None) -> None:
    assert line.holds is holds
    assert Report([line], []).holds is (holds is not False)

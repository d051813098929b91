"""A report as a table for people, JSON, JUnit XML (as Jenkins and GitLab read it) and TAP version 13. Pure: text out."""

import json
from collections.abc import Callable, Iterator
from typing import Final
from xml.etree import ElementTree as ET

from collector.cli.listing import lines_of
from collector.cli.table import GREEN, RED, YELLOW, clean
from collector.cli.verify.report import TABLES, Line, Report

HEAD: Final = ("FROM", "TO", "PORT", "EXPECTED", "ACTUAL", "VERDICT", "BECAUSE")
FAULTS: Final = "expectations"
"""Name of the suite of what is wrong with what is expected."""


def table(report: Report, *, colour: bool) -> str:
    """The tables that people draw by hand, those with nothing in them left out, and a last line that sums up."""
    parts = []
    for word, title in TABLES.items():
        lines = [line for line in report.lines if line.table == word]
        if lines:
            rows = [
                (line.source, line.target, line.port, line.expected, line.actual, line.verdict, _said(line)) for line in lines
            ]
            parts.append(f"{title}\n" + lines_of(HEAD, rows, colours=[_colour(line) for line in lines] if colour else None))
    if report.faults:
        rows_of_faults = [(fault.name, fault.because) for fault in report.faults]
        parts.append("What is wrong with what is expected\n" + lines_of(("EXPECTATION", "BECAUSE"), rows_of_faults))
    parts.append("".join(f"note: {clean(note)}\n" for note in report.notes) + _sum(report) + "\n")
    return "\n".join(parts)


def as_json(report: Report) -> str:
    """All of it for scripts; `holds` is null where nobody can say."""
    answer = {
        "version": 1,
        "holds": report.holds,
        "lines": [line._asdict() | {"holds": line.holds} for line in report.lines],
        "faults": [fault._asdict() for fault in report.faults],
        "notes": list(report.notes),
    }
    return json.dumps(answer, indent=2) + "\n"


def junit(report: Report) -> str:
    """A suite for each table, and one for what is wrong with what is expected."""
    suites = ET.Element("testsuites", name="netmatrix verify")
    for word in TABLES:
        lines = [line for line in report.lines if line.table == word]
        if lines:
            suite = _suite(suites, word, len(lines))
            for line in lines:
                _case(suite, line)
    if report.faults:
        suite = _suite(suites, FAULTS, len(report.faults))
        for fault in report.faults:
            case = ET.SubElement(suite, "testcase", name=clean(fault.name), classname=f"netmatrix.{FAULTS}", time="0")
            error = ET.SubElement(case, "error", message=clean(fault.because), type="expectation")
            error.text = clean(fault.because)
    for suite in suites:
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    for attribute in ("tests", "failures", "errors"):
        suites.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in suites)))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def tap(report: Report) -> str:
    """A line for each path and for each thing that is wrong, with what is known of it in YAML where it does not hold."""
    lines = ["TAP version 13", f"1..{len(report.lines) + len(report.faults)}"]
    for number, line in enumerate(report.lines, 1):
        lines += _point(number, line)
    for number, fault in enumerate(report.faults, len(report.lines) + 1):
        lines += [f"not ok {number} - {_described(fault.name)}", *_details(because=fault.because)]
    lines += [f"# {_one_line(note)}" for note in report.notes]
    return "\n".join(lines) + "\n"


FORMATS: Final[dict[str, Callable[[Report], str]]] = {"json": as_json, "junit": junit, "tap": tap}
"""By the word on the command line; `table` needs to know of colours."""


def _said(line: Line) -> str:
    return f"{line.name}: {line.because}" if line.name and line.name not in line.because else line.because


def _colour(line: Line) -> str:
    return {True: GREEN, False: RED, None: YELLOW}[line.holds]


def _sum(report: Report) -> str:
    counts = {word: sum(1 for line in report.lines if line.holds is word) for word in (True, False, None)}
    words = [f"{counts[True]} of {len(report.lines)} hold"]
    words += [f"{counts[False]} do not"] if counts[False] else []
    words += [f"of {counts[None]} nobody can say"] if counts[None] else []
    words += [f"{len(report.faults)} wrong"] if report.faults else []
    return ", ".join(words)


def _suite(suites: ET.Element, name: str, tests: int) -> ET.Element:
    return ET.SubElement(suites, "testsuite", name=f"netmatrix.{name}", tests=str(tests), time="0")


def _case(suite: ET.Element, line: Line) -> None:
    case = ET.SubElement(suite, "testcase", name=clean(line.words), classname=f"netmatrix.{line.table}", time="0")
    sentence = clean(f"expected {line.expected}, actual {line.actual}: {_said(line)}")
    if line.holds is False:
        failure = ET.SubElement(case, "failure", message=sentence, type=clean(line.verdict))
        failure.text = sentence
    elif line.holds is None:
        ET.SubElement(case, "skipped", message=sentence)


def _point(number: int, line: Line) -> Iterator[str]:
    words = _described(line.words)
    if line.holds is None:
        yield f"ok {number} - {words} # SKIP {_one_line(line.because)}"
    elif line.holds:
        yield f"ok {number} - {words}"
    else:
        yield f"not ok {number} - {words}"
        yield from _details(
            expected=line.expected, actual=line.actual, verdict=line.verdict, expectation=line.name, because=line.because
        )


def _details(**words: str) -> Iterator[str]:
    """A block of YAML, of which JSON texts are a part."""
    yield "  ---"
    yield from (f"  {key}: {json.dumps(clean(value))}" for key, value in words.items() if value)
    yield "  ..."


def _described(text: str) -> str:
    """A description, in which a number sign would begin a directive."""
    return _one_line(text).replace("\\", "\\\\").replace("#", "\\#")


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())

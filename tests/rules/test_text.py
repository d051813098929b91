"""What may not stand in any file: addresses of package hosts, paths of one machine, patterns that let a line feed through."""

import re

from tests.rules.tree import files, modules, named

NOT_TO_BE_READ = {"LICENSE"}


def lines_with(pattern: str, *suffixes: str) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{named(file)}:{number}: {line.strip()[:100]}"
        for file in files(*suffixes)
        if file.name not in NOT_TO_BE_READ
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1)
        if found.search(line)
    ]


def test_no_file_names_a_package_host() -> None:
    """A lock or a script that does would bypass the mirror that a machine is set up with."""
    hosts = "|".join(("pypi" + r"\.org", "python" + "hosted", "--index" + "-url", "--extra-index" + "-url"))
    assert lines_with(f"(?i){hosts}") == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert lines_with(r"(?<![\w.$}~/*-])/" + r"(work|root|home|Users)/") == []


def test_no_file_has_a_marker_of_a_merge() -> None:
    assert lines_with("^(<{7}|>{7}|={7}$)") == []


def test_no_pattern_of_a_type_ends_with_a_dollar_sign() -> None:
    """`$` also matches before a line feed at the end, and a name with a line feed breaks out of whatever it stands in."""
    found = re.compile(r"""(pattern=|PATTERN = )r?["'].*\$["']""")
    assert [
        f"{named(file)}:{number}"
        for file in modules()
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if found.search(line)
    ] == []

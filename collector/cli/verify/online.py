"""A cluster: what is expected there, and what the collector sees now."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from collector.cli.client import Client, RefusedError
from collector.cli.verify.report import BAD, Fault, Line, Report, table_of

OUTSIDE: Final = frozenset({"host", "external", "dns"})
"""Layers whose targets are in no namespace, or whose namespace says nothing."""
UNSURE: Final = ("unverifiable", "unknown")
"""Further verdicts that matter where there are too many cells to ask for all."""
EXPECTED: Final = frozenset({"declared", "networkpolicy", "cnp", "tf"})


def verify_cluster(client: Client, *, namespace: str) -> Report:
    """What holds by what the collector sees now. Raises UnreachableError, RefusedError."""
    cells, notes = _cells(client, namespace)
    expectations = client.ask("expectations")["expectations"]
    lines = [_line(one) for one in cells]
    faults = [fault for one in expectations for fault in _faults(one, namespace)]
    return Report(sorted(_folded(cells, lines)), faults, notes)


def _cells(client: Client, namespace: str) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The cells that something is expected of; only those that are not as they should be where there are too many."""
    try:
        found = client.ask("verdicts")["verdicts"]
        notes = []
    except RefusedError:
        found = [cell for word in (*sorted(BAD), *UNSURE) for cell in client.ask("verdicts", verdict=word)["verdicts"]]
        notes = ["there are too many paths to show those that are as they should be"]
    wanted = [cell for cell in found if _concerns(cell, namespace)]
    told = [cell for cell in wanted if cell["source"] in EXPECTED or cell["verdict"] in BAD]
    if len(told) < len(wanted):
        notes.append(f"nobody expects anything of {len(wanted) - len(told)} further paths, which are as nothing forbids")
    return told, notes


def _concerns(one: Mapping[str, Any], namespace: str) -> bool:
    return not namespace or namespace in {one["from"].get("namespace"), one["to"].get("namespace")}


def _line(one: Mapping[str, Any]) -> Line:
    near, far = one["from"], one["to"]
    kind, port = str(one["kind"]).upper(), one.get("port")
    words = f"{kind} {port}" if port else kind
    declaration = one.get("expectation") or {}
    return Line(
        table_of(
            str(near.get("namespace")),
            str(far.get("namespace")),
            service=one["layer"] == "service",
            outside=one["layer"] in OUTSIDE,
        ),
        _source(near),
        str(far["name"]).removeprefix("pod/").removeprefix("service/"),
        words + (" IPv6" if one.get("family") == "ipv6" else ""),
        str(one["expected"]),
        str(one["observed"]),
        str(one["verdict"]),
        str(one["because"]),
        str(declaration.get("name") or ""),
    )


def _source(near: Mapping[str, Any]) -> str:
    vantage, namespace = str(near["vantage"]), str(near.get("namespace") or "")
    return vantage if vantage.startswith(f"{namespace}/") else f"{namespace}/{vantage}"


def _folded(cells: list[Mapping[str, Any]], lines: list[Line]) -> Iterator[Line]:
    """Where one target of a declaration is enough for each source, the others need not answer."""
    enough = {
        (line.name, line.source)
        for cell, line in zip(cells, lines, strict=True)
        if line.verdict == "ok" and (cell.get("expectation") or {}).get("match") == "any"
    }
    for line in lines:
        if line.name and (line.name, line.source) in enough and line.holds is False:
            yield line._replace(verdict="ok", because=f"another target is enough; {line.because}")
        else:
            yield line


def _faults(one: Mapping[str, Any], namespace: str) -> Iterator[Fault]:
    """What is wrong with a declaration itself, and one of which nothing is measured: never silently true."""
    name = str(one["name"])
    if namespace and name.partition("/")[0] != namespace:
        return
    conditions = {str(condition["type"]): condition for condition in one.get("conditions") or ()}
    consistent = conditions.get("Consistent")
    if consistent is not None and consistent["status"] == "False":
        yield Fault(name, str(consistent.get("message") or "it contradicts something"))
    elif not any((one.get("pairs") or {}).values()):
        yield Fault(name, "nothing of it is measured")

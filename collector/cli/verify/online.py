"""A cluster: what is expected there, and what the collector sees now."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from collector.cli.client import Client, RefusedError, UnreachableError
from collector.cli.passage import PassageError
from collector.cli.verify.declarations import declarations
from collector.cli.verify.report import BAD, Fault, Line, Report, table_of

ACT_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.5
OUTSIDE: Final = frozenset({"host", "external", "dns"})
"""Layers whose targets are in no namespace, or whose namespace says nothing."""
UNSURE: Final = ("unverifiable", "unknown")
"""Further verdicts that matter where there are too many cells to ask for all."""
EXPECTED: Final = frozenset({"declared", "networkpolicy", "cnp", "tf"})


def verify_cluster(client: Client, file: Path | None, *, namespace: str) -> Report:
    """What holds: by probes of now where we may ask for them, else by what the collector sees anyway.

    Raises UnreachableError, RefusedError, PassageError, and BadFileError for the file.
    """
    documents = [document for document, _ in declarations(file)] if file is not None else []
    try:
        probed = _probed(client, namespace, documents)
    except (RefusedError, UnreachableError, PassageError) as error:
        if documents:
            raise
        return _seen(client, namespace, f"by what is seen anyway, since nothing could be probed now: {error}")
    cells = [cell for cell in probed["verdicts"] if _is_told(cell)]
    known = {cell["path"] for cell in cells}
    try:
        others, notes = _cells(client, namespace)
    except RefusedError as error:
        others, notes = [], [f"without what is not probed on demand: {error}"]
    cells += [cell for cell in others if cell["path"] not in known]
    faults = [Fault(str(fault["name"]), str(fault["because"])) for fault in probed["faults"]]
    return Report(sorted(_folded(cells, [_line(one) for one in cells])), faults, notes)


def _probed(client: Client, namespace: str, documents: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Have everything that is expected probed, and wait for what comes of it."""
    begun = client.act("verify", {"namespace": namespace, "expectations": documents or None}, seconds=ACT_SECONDS)
    until = time.monotonic() + float(begun["seconds"]) + ACT_SECONDS
    while True:
        looked = client.ask("verification", id=str(begun["id"]))
        if looked["done"]:
            answer: Mapping[str, Any] = looked["answer"]
            return answer
        if time.monotonic() > until:
            raise UnreachableError(f"{client.server} has not finished to verify in time")
        time.sleep(LOOK_SECONDS)


def _seen(client: Client, namespace: str, note: str) -> Report:
    cells, notes = _cells(client, namespace)
    faults = [fault for one in client.ask("expectations")["expectations"] for fault in _faults(one, namespace)]
    return Report(sorted(_folded(cells, [_line(one) for one in cells])), faults, [note, *notes])


def _cells(client: Client, namespace: str) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The cells that something is expected of; only those that are not as they should be where there are too many."""
    try:
        found = client.ask("verdicts")["verdicts"]
        notes = []
    except RefusedError:
        found = [cell for word in (*sorted(BAD), *UNSURE) for cell in client.ask("verdicts", verdict=word)["verdicts"]]
        notes = ["there are too many paths to show those that are as they should be"]
    wanted = [cell for cell in found if _concerns(cell, namespace)]
    told = [cell for cell in wanted if _is_told(cell)]
    if len(told) < len(wanted):
        notes.append(f"nobody expects anything of {len(wanted) - len(told)} further paths, which are as nothing forbids")
    return told, notes


def _is_told(cell: Mapping[str, Any]) -> bool:
    """Whether somebody expects something of it, or it is bad all the same."""
    return cell["source"] in EXPECTED or cell["verdict"] in BAD


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

"""A cluster: what the collector expects there and what it sees."""

from collections.abc import Iterator, Mapping
from typing import Any

from collector.cli.client import Client
from collector.cli.verify.report import Fault, Line, Report, table_of


def verify_cluster(client: Client, *, namespace: str) -> Report:
    """What holds by what the collector sees now. Raises UnreachableError, RefusedError."""
    verdicts = client.ask("verdicts")["verdicts"]
    expectations = client.ask("expectations")["expectations"]
    lines = [_line(one) for one in verdicts if _concerns(one, namespace)]
    faults = [fault for one in expectations for fault in _faults(one, namespace)]
    return Report(lines, faults)


def _concerns(one: Mapping[str, Any], namespace: str) -> bool:
    return not namespace or namespace in {one["from"].get("namespace"), one["to"].get("namespace")}


def _line(one: Mapping[str, Any]) -> Line:
    source, target = _named(one["from"]), _named(one["to"])
    layer, port = one["layer"], one.get("port")
    family = " IPv6" if one.get("family") == "ipv6" else ""
    words = f"{str(one['kind']).upper()} {port}" if port else str(one["kind"]).upper()
    table = table_of(source, target, service=layer == "service", outside=layer in {"host", "external", "dns"})
    return Line(
        table,
        source,
        target,
        words + family,
        str(one["expected"]),
        str(one["observed"]),
        str(one["verdict"]),
        str(one["because"]),
        str(one.get("expectation") or ""),
    )


def _named(end: Mapping[str, Any]) -> str:
    own = end.get("pod") or end.get("service")
    return f"{end.get('namespace')}/{own}" if own and end.get("namespace") else str(end.get("name") or end.get("node") or "")


def _faults(one: Mapping[str, Any], namespace: str) -> Iterator[Fault]:
    name = str(one["name"])
    if namespace and name.partition("/")[0] != namespace:
        return
    for condition in one.get("conditions") or ():
        if condition.get("type") == "Consistent" and condition.get("status") == "False":
            yield Fault(name, str(condition.get("message") or condition.get("reason") or ""))

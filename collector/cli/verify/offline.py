"""Manifests alone: what is declared against what the policies among them say. Nobody is asked, and no packet is sent."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import islice
from pathlib import Path
from typing import Final

from collector.cli.verify.declarations import declarations
from collector.cli.verify.report import Fault, Line, Report, table_of
from collector.derivation import ExpectSettings
from collector.discovery.manifests import Manifested, manifested
from collector.document import bad, read_text
from collector.expectation.contradictions import contradictions
from collector.expectation.declared import One
from collector.expectation.expected import Expectations
from collector.expectation.reaches import Reach, of_each_class, reaches
from collector.manifest import manifests
from collector.policy.ends import Connection, Pod, address_of
from collector.policy.evaluate import Answer, Policies
from collector.policy.profile import PROFILES
from wire.path import Family

SUFFIXES: Final = (".yaml", ".yml", ".json")
MOST_LINES: Final = 5000
"""Most lines of one declaration, and of what nobody declared."""
_ENDS: Final = ("from", "to")
_WORD: Final = {Answer.ALLOW: "allow", Answer.DENY: "deny"}


def verify_manifests(
    folder: Path,
    *,
    more: Path | None,
    namespace: str,
    profile: str,
    network: IPv4Network,
    network6: IPv6Network | None,
    everything: bool,
) -> Report:
    """What holds by the manifests under a folder; `more` is a file with further expectations. Raises BadFileError.

    With `everything` also what follows from policies about pods that nobody declared anything of.
    """
    objects = [one for file in _files(folder) for one in manifests(read_text(file), file=str(file.relative_to(folder)))]
    found = manifested(objects, network, network6)
    if more is not None:
        found.declared += [one for _, one in declarations(more)]
    policies = Policies(found.policies, found.opaque, PROFILES[profile])
    expectations = Expectations(policies, found.declared, found.cluster, settings=ExpectSettings())
    chosen = [one for one in expectations.declarations.every if not namespace or one.declared.namespace == namespace]
    lines = [line for one in chosen for line in _of_declaration(expectations, one)]
    if everything or not found.declared:
        lines += islice(_derived(expectations, namespace), MOST_LINES)
    names = {one.declared.name for one in chosen}
    faults = [Fault("manifests", str(refused)) for refused in found.refused]
    faults += [
        Fault(one.name, one.because)
        for one in contradictions(expectations)
        if one.name in names and one.sort != "policies"  # which the lines say one by one
    ]
    return Report(lines, faults, tuple(_notes(found, profile)))


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    found = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if not found:
        raise bad(str(folder), "", f"no file under it ends in {', '.join(SUFFIXES)}")
    return found


def _of_declaration(expectations: Expectations, one: One) -> Iterator[Line]:
    """One line for each sort of pairs that nothing tells apart."""
    lines = []
    for reach in islice(reaches(expectations, one), MOST_LINES):
        decision = expectations.policies.decide(reach.source, reach.target, reach.connection)
        expected = one.declared.spec.expect
        verdict = _verdict(expected, decision.answer)
        line = _line(reach)._replace(
            expected=expected, actual=decision.answer.value, verdict=verdict, because=decision.because, name=one.declared.name
        )
        lines.append((reach, line))
    if one.declared.spec.match == "any":
        open_from = {str(reach.source) for reach, line in lines if line.verdict == "ok"}
        for reach, line in lines:
            enough = str(reach.source) in open_from and line.verdict != "ok"
            yield line._replace(verdict="ok", because=f"another target is enough; {line.because}") if enough else line
        return
    yield from (line for _, line in lines)


def _verdict(expected: str, answer: Answer) -> str:
    if expected == "none":
        return "excluded"
    if answer not in _WORD:
        return "unknown"
    if expected == _WORD[answer]:
        return "ok"
    return "broken" if expected == "allow" else "leak"


def _line(reach: Reach) -> Line:
    """A line of which nothing is said yet."""
    source, target, connection = str(reach.source), str(reach.target), reach.connection
    spaces = [end.namespace.name for end in (reach.source, reach.target) if isinstance(end, Pod)]
    through = reach.goal.service if reach.goal.through else ""
    table = table_of(spaces[0], spaces[-1], service=bool(through), outside=False) if len(spaces) == len(_ENDS) else "outside"
    port = f"{connection.protocol} {connection.port}" if connection.port else connection.protocol
    family = " IPv6" if connection.family is Family.IPV6 else ""
    shown = f"{through} ({target})" if through else target
    return Line(table, source, shown, port + family, "", "", "", "")


def _derived(expectations: Expectations, namespace: str) -> Iterator[Line]:
    """What the policies say of a pair of each sort, at each port that the target declares: nothing is compared with it."""
    pods = of_each_class(expectations, expectations.cluster.pods)
    for sources in pods:
        for target in (ends[0] for ends in pods):
            source = next((one for one in sources if str(one) != str(target)), None)
            if isinstance(source, Pod) and isinstance(target, Pod) and _concerns(source, target, namespace):
                yield from _between(expectations, source, target)


def _between(expectations: Expectations, source: Pod, target: Pod) -> Iterator[Line]:
    table = table_of(source.namespace.name, target.namespace.name, service=False, outside=False)
    for port in target.ports:
        for family in Family:
            if address_of(source, family) is not None and address_of(target, family) is not None:
                found = expectations.of(source, target, Connection(port.protocol, port.port, family))
                shown = f"{port.protocol} {port.port}" + (" IPv6" if family is Family.IPV6 else "")
                if found.source != "declared":
                    yield Line(table, str(source), str(target), shown, found.answer.value, "-", "-", found.because)


def _concerns(source: Pod, target: Pod, namespace: str) -> bool:
    return not namespace or namespace in {source.namespace.name, target.namespace.name}


def _notes(found: Manifested, profile: str) -> Iterator[str]:
    counts = {
        "pods": len(found.pods),
        "services": len(found.services),
        "policies": len(found.policies),
        "expectations": len(found.declared),
    }
    yield ", ".join(f"{word}: {count}" for word, count in counts.items())
    if profile == "generic" and found.policies:
        yield "what the NetworkPolicy API leaves to the network plugin is unspecified; --cni-profile says which one it is"
    yield from (f"{one} is {one.because}" for one in found.opaque)

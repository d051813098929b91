"""Policy vectors: cases of pods and policies with what should be reachable, run through the evaluator.

`python -m tests.vectors FILE...` prints the number of checks and of mismatches, each mismatch with what decided; the exit
status is 1 where there is one. A file is a JSON list of cases: `pods`, `semantics`, and `steps`, each with `namespaces` (labels
by name), `networkPolicies`, `clusterPolicies` and `checks` of `{protocol, port, matrix: [[source, destination, allowed], ..]}`.
A step may have `pods`, or `podLabels` by pod, of its own.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from msgspec import structs

from collector.policy.cluster_network_policy import cluster_network_policy
from collector.policy.ends import Connection, ContainerPort, Namespace, Pod, Protocol
from collector.policy.evaluate import Answer, Policies
from collector.policy.labels import namespace_labels
from collector.policy.network_policy import network_policy
from collector.policy.profile import PROFILES
from wire.path import Family

Document = Mapping[str, Any]


def checks(case: Document) -> Iterator[tuple[bool, str]]:
    """Every check of a case: whether it holds, and the sentence that says what was found."""
    matches = case.get("semantics", {}).get("ipBlockMatchesPods", True)
    profile = structs.replace(PROFILES["strict"], blocks_match_pods=matches, selects_host_network=False)
    for number, step in enumerate(case["steps"]):
        policies = Policies(
            [
                *map(network_policy, step.get("networkPolicies") or ()),
                *map(cluster_network_policy, step.get("clusterPolicies") or ()),
            ],
            profile=profile,
        )
        pods = dict(_pods(case, step))
        for check in step["checks"]:
            for source, target, allowed in check["matrix"]:
                ends = pods[source], pods[target]
                protocol: Protocol = check.get("protocol") or "TCP"
                connection = Connection(protocol, _port(check, protocol, ends[1]), _family(ends[0], ends[1]))
                decision = policies.decide(*ends, connection)
                expected = Answer.ALLOW if allowed else Answer.DENY
                where = f"{case['id']} step {number}: {source} to {target} {connection.protocol} {connection.port}"
                yield decision.answer is expected, f"{where}: {expected} expected, {decision.answer}: {decision.because}"


def _port(check: Document, protocol: Protocol, target: Pod) -> int:
    """The port that is asked for, by its number or as the target calls it; 0 for none."""
    port = check.get("port") or 0
    if isinstance(port, int):
        return port
    return next((own.port for own in target.ports if (own.name, own.protocol) == (port, protocol)), 0)


def _pods(case: Document, step: Document) -> Iterator[tuple[str, Pod]]:
    labels = step.get("podLabels") or {}
    for pod in step.get("pods") or case["pods"]:
        name = pod["namespace"]
        namespace = Namespace(name, namespace_labels(name, (step.get("namespaces") or {}).get(name) or {}))
        yield (
            pod["id"],
            Pod(
                namespace=namespace,
                name=pod["id"].rpartition("/")[2],
                labels=labels.get(pod["id"], pod.get("labels") or {}),
                addresses=tuple(pod["ips"]),
                ports=tuple(
                    ContainerPort(port["port"], port.get("protocol") or "TCP", port.get("name") or "")
                    for port in pod.get("ports") or ()
                ),
                node=pod.get("node", ""),
                host_network=pod.get("hostNetwork", False),
            ),
        )


def _family(source: Pod, target: Pod) -> Family:
    """The first one that both ends have; IPv4 where they have none in common."""
    common = {ip_address(text).version for text in source.addresses} & {ip_address(text).version for text in target.addresses}
    return Family.IPV6 if common == {6} else Family.IPV4


def main(files: Sequence[str]) -> int:
    """Run the files; the exit status."""
    total = wrong = 0
    for file in files:
        for case in json.loads(Path(file).read_text()):
            for holds, sentence in checks(case):
                total += 1
                if not holds:
                    wrong += 1
                    sys.stdout.write(f"{sentence}\n")
    sys.stdout.write(f"{total} checks, {wrong} mismatches\n")
    return 1 if wrong or not total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How long all pairs of a large cluster take, and one changed policy: `python -m tests.collector.policy.size`.

10,000 pods of 500 namespaces under 2,000 policies, by default in workloads of three replicas; with `--alone` no two pods are
alike, as with stateful sets, whose pods have labels of their own.
"""

import argparse
import json
import resource
import time
from random import Random
from typing import Any

from msgspec import structs

from collector.policy.ends import ContainerPort, Namespace, Pod
from collector.policy.evaluate import Policies
from collector.policy.labels import namespace_labels
from collector.policy.network_policy import network_policy
from collector.policy.profile import PROFILES
from collector.policy.reach import Reach
from collector.policy.rules import Policy

NAMESPACES = 500
PODS = 10_000
POLICIES = 2_000
PORTS = (ContainerPort(8080, "TCP", "http"), ContainerPort(9090, "TCP", "metrics"), ContainerPort(5353, "UDP", "dns"))


def pods_of(random: Random, *, alone: bool) -> list[Pod]:
    teams = [f"team-{number}" for number in range(40)]
    names = [f"ns-{number}" for number in range(NAMESPACES)]
    spaces = [Namespace(name, namespace_labels(name, {"team": random.choice(teams)})) for name in names]
    found = []
    for number in range(PODS):
        workload, replica = divmod(number, 3)
        space = spaces[workload % NAMESPACES]
        labels = {"app": f"app-{workload // NAMESPACES}", "tier": ("web", "logic", "data")[workload % 3]}
        if alone:
            labels["statefulset.kubernetes.io/pod-name"] = f"app-{number}"
        ports = PORTS[: 1 + workload % 2]
        address = f"10.{number >> 16}.{(number >> 8) & 255}.{number & 255}"
        found.append(Pod(space, f"app-{workload}-{replica}", labels, (address,), ports))
    return found


def policy(random: Random, number: int) -> Policy:
    peers: list[dict[str, Any]] = [
        {"podSelector": {"matchLabels": {"app": f"app-{random.randrange(7)}"}}},
        {"namespaceSelector": {"matchLabels": {"team": f"team-{random.randrange(40)}"}}},
        {
            "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["team-1", "team-2"]}]},
            "podSelector": {"matchLabels": {"tier": random.choice(["web", "logic"])}},
        },
        {"ipBlock": {"cidr": f"10.0.{random.randrange(40)}.0/24"}},
    ]
    ports = [{"port": 8080}, {"port": "metrics"}, {"protocol": "UDP", "port": 5353}, {}]
    rule = {"ports": random.sample(ports, 1)}
    spec: dict[str, Any] = {
        "podSelector": random.choice([{}, {"matchLabels": {"tier": random.choice(["web", "logic", "data"])}}]),
        "policyTypes": random.choice([["Ingress"], ["Ingress", "Egress"], ["Egress"]]),
        "ingress": [{"from": random.sample(peers, 2), **rule}],
        "egress": [{"to": random.sample(peers, 2), **rule}, {"ports": [{"protocol": "UDP", "port": 53}]}],
    }
    return network_policy({"metadata": {"name": f"p-{number}", "namespace": f"ns-{number % NAMESPACES}"}, "spec": spec})


def measured(*, alone: bool) -> dict[str, float]:
    random = Random(7)  # noqa: S311 - the same cluster each time
    pods = pods_of(random, alone=alone)
    policies = [policy(random, number) for number in range(POLICIES)]
    began = time.perf_counter()
    reach = Reach(Policies(policies, profile=PROFILES["calico"]), pods)
    whole = time.perf_counter() - began
    slowest = 0.0
    for _ in range(20):
        place = random.randrange(POLICIES)
        fresh = structs.replace(policy(random, place), name=f"p-{place}")
        policies[place] = fresh
        began = time.perf_counter()
        reach = reach.after(Policies(policies, profile=PROFILES["calico"]))
        slowest = max(slowest, time.perf_counter() - began)
    return {
        "pods": len(pods),
        "classes": len(reach.classes),
        "points": len(reach.points),
        "policies": len(policies),
        "all_pairs_seconds": round(whole, 3),
        "changed_policy_seconds": round(slowest, 3),
        "resident_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", action="store_true", help="no two pods are alike")
    print(json.dumps(measured(alone=parser.parse_args().alone)))


if __name__ == "__main__":
    main()

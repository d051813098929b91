"""What the corpus draws: faults of every kind with what should be said of them, and what only looks like a fault.

In: dice. Out: a scenario as plain values, without what all of them have in common. Faults last for as long as some thirty
losses take, or what a missing report takes.
"""

from collections.abc import Callable, Mapping
from typing import Final

from lab.dice import CALM_SECONDS, COLLECTOR, TOPOLOGY, Dice, Words, allow, alone, incident, pair, policy, restart
from lab.policies import NAMESPACE_NAME

_DIRECTIONS: Final = ("in", "out", "both")


def _dead_node(dice: Dice) -> Words:
    node = dice.node(spared=(COLLECTOR,))
    return dice.faults([({"kind": "dead_node", "node": node}, incident("node", node, "host"))], 20)


def _black_hole(dice: Dice) -> Words:
    node, direction = dice.node(spared=(COLLECTOR,)), dice.random.choice(_DIRECTIONS)
    fault = {"kind": "blackhole", "node": node, "direction": direction}
    return dice.faults([(fault, incident("node", node, "host"))], 20)


def _loss_of_node(dice: Dice) -> Words:
    node, direction = dice.node(), dice.random.choice(_DIRECTIONS)
    percent = dice.random.choice((5, 10, 20))
    fault = {"kind": "loss", "node": node, "direction": direction, "percent": percent}
    return dice.faults([(fault, incident("node", node, "host", direction))], 300 / percent + 10)


def _rare_loss(dice: Dice) -> Words:
    node, percent = dice.node(), dice.random.choice((1, 2))
    fault = {"kind": "loss", "node": node, "direction": dice.random.choice(_DIRECTIONS), "percent": percent}
    return dice.faults([(fault, incident("node", node, "host", str(fault["direction"])))], 120)


def _loss_of_pair(dice: Dice) -> Words:
    one, other = dice.node(spared=(COLLECTOR,)), dice.node(spared=(COLLECTOR,))
    fault = {"kind": "loss", "from": one, "to": other, "percent": dice.random.choice((60, 100))}
    return dice.faults([(fault, pair(one, other))], 45)


def _refusing_pair(dice: Dice) -> Words:
    one, other = dice.node(spared=(COLLECTOR,)), dice.node(spared=(COLLECTOR,))
    says = dice.random.choice(("prohibited", "unreachable"))
    return dice.faults([({"kind": "reject", "from": one, "to": other, "says": says}, pair(one, other, "pod"))], 45)


def _zone_partition(dice: Dice) -> Words:
    zones = dice.random.sample(["z2", "z3"], 2)
    expected = incident("zone_pair", [">".join(zones), ">".join(reversed(zones))], "host", "*")
    return dice.faults([({"kind": "partition", "zones": zones}, expected)], 30)


def _pod_network(dice: Dice) -> Words:
    node = dice.node()
    return dice.faults([({"kind": "blackhole", "node": node, "layer": "pod"}, incident("node", node, "pod"))], 20)


def _overlay(dice: Dice) -> Words:
    node = dice.node(spared=(COLLECTOR,))
    fault = {"kind": "blackhole", "node": node, "protocol": "vxlan"}
    return {**dice.faults([(fault, incident("node", node, "pod"))], 20), "cluster": {"fabric": "vxlan"}}


def _broken_dnat(dice: Dice) -> Words:
    return dice.faults([_dnat(dice)], 30)


def _name_server(dice: Dice) -> Words:
    how = dice.random.choice(("silent", "gone", "servfail"))
    return dice.faults([({"kind": "name_server", "how": how}, incident("dns", "*", "dns"))], 30)


def _long_packets(dice: Dice) -> Words:
    node = dice.node()
    fault = {"kind": "mtu_blackhole", "node": node, "longer_than": dice.random.choice((600, 1280, 1400))}
    return dice.faults([(fault, incident("mtu", node, "mtu"))], 60)


def _slow_node(dice: Dice) -> Words:
    node = dice.node()
    fault = {"kind": "delay", "node": node, "direction": "in", "ms": dice.random.choice((30, 80))}
    return dice.faults([(fault, {**incident("node", node, "*"), "effect": "latency"})], 90)


def _translated(dice: Dice) -> Words:
    node = dice.node()
    return dice.faults([({"kind": "snat", "node": node}, incident("nat", f"*{node}*", "*"))], 40)


def _silent_agent(dice: Dice) -> Words:
    node = dice.node()
    return dice.faults([({"kind": "stop", "node": node}, incident("agent", node, "*"))], 40)


def _cut_off_agents(dice: Dice) -> Words:
    """Nobody but the agent beside the collector reaches it, while all of them reach each other."""
    closed = policy("netmatrix", "nobody", {"podSelector": {"matchLabels": {"app": "collector"}}})
    words = dice.policy(closed, 60, only="enforced")
    return {
        **words,
        "cluster": {"cni": {"established": "cut"}},
        "expect": {"incidents": [{**incident("collector", "collector", "*"), "within": "60s"}]},
    }


def _closed_path(dice: Dice) -> Words:
    """What is declared to be open is closed, and no policy says so."""
    source, target = dice.namespaces()
    words = dice.policy(_all_but(source, target), 30, only="enforced")
    wanted = {**incident("policy", f"{source}>{target}", "pod"), "effect": "broken", "within": "30s"}
    return {**words, "expectations": [allow(source, target)], "expect": {"incidents": [wanted]}}


def _open_path(dice: Dice) -> Words:
    """What a policy closes is open, since a node does not enforce it any more."""
    source, target = dice.namespaces()
    closed = _all_but(source, target)
    wanted = {**incident("policy", f"{source}>{target}", "pod"), "effect": "leak", "within": "30s"}
    return {
        "policies": [closed],
        "timeline": [{"at": dice.at(), "policy": {"delete": f"{target}/not-all", "only": "enforced"}}],
        "expect": {"incidents": [wanted]},
    }


def _all_but(source: str, target: str) -> Words:
    others = {"matchExpressions": [{"key": NAMESPACE_NAME, "operator": "NotIn", "values": [source]}]}
    return policy(target, "not-all", {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": others}]}]})


def _two_at_once(dice: Dice) -> Words:
    node, other = dice.node(), dice.node()
    first = ({"kind": "loss", "node": node, "percent": 30}, incident("node", node, "host", "both"))
    others: list[tuple[Words, Words]] = [
        ({"kind": "loss", "node": other, "percent": 50, "direction": "in"}, incident("node", other, "host", "in")),
        ({"kind": "name_server", "how": "silent"}, incident("dns", "*", "dns")),
        _dnat(dice),
    ]
    return dice.faults([first, dice.random.choice(others)], 40)


def _flapping(dice: Dice) -> Words:
    node = dice.node()
    fault = {"kind": "loss", "node": node, "percent": 50}
    timeline = [{"at": f"{at}s", **({"fault": fault} if at % 20 == 0 else {"clear": "all"})} for at in range(20, 70, 10)]
    return {"timeline": timeline, "expect": {"incidents": [{**incident("node", node, "host", "*"), "within": "40s"}]}}


# What only looks like a fault.


def _drain(dice: Dice) -> Words:
    node = dice.random.choice([node.name for node in TOPOLOGY.nodes if not alone(node.name)])
    fault = {"kind": "drain", "node": node, "removed": dice.random.random() < 0.5}  # noqa: PLR2004 - a coin
    return dice.harmless([{"at": dice.at(), "fault": fault}, {"at": "30s", "clear": "all"}])


def _rollout(dice: Dice) -> Words:
    nodes = dice.random.sample([node.name for node in TOPOLOGY.nodes], 3)
    events = [{"at": f"{6 * n + 6}s", "fault": restart(node)} for n, node in enumerate(nodes)]
    return dice.harmless(events)


def _collector_restart(dice: Dice) -> Words:
    return dice.harmless([{"at": dice.at(), "fault": {"kind": "kill_collector", "restart_after": 3}}])


def _strange_packets(dice: Dice) -> Words:
    how: Words = dice.random.choice([{"how": "duplicate"}, {"how": "reorder", "ms": 2}])
    return dice.harmless([{"at": dice.at(), "fault": {"kind": "tamper", "from": dice.node(), "to": dice.node(), **how}}])


def _reused_address(dice: Dice) -> Words:
    return dice.harmless([{"at": dice.at(), "fault": {"kind": "reused_address", "node": dice.node()}}])


def _policy_change(dice: Dice) -> Words:
    """A path is closed that nobody expects to be open, and everybody is told."""
    _, target = dice.namespaces()
    return dice.policy(policy(target, "nobody", {"podSelector": {}}), CALM_SECONDS)


def _hogs(dice: Dice) -> Words:
    return dice.harmless([{"at": dice.at(), "fault": {"kind": "cpu_hogs", "count": 3}}, {"at": "25s", "clear": "all"}])


def _dnat(dice: Dice) -> tuple[Words, Words]:
    node, service = dice.node(), dice.random.choice(["shop/web", "pay/web"])
    fault = {"kind": "broken_dnat", "node": node, "service": service, "how": dice.random.choice(["nowhere", "removed"])}
    return fault, incident(["node", "pair"], [node, f"{node}>service/{service}"], "service", "out")


KINDS: Final[Mapping[str, Callable[[Dice], Words]]] = {
    "loss_of_node": _loss_of_node,
    "dead_node": _dead_node,
    "broken_dnat": _broken_dnat,
    "closed_path": _closed_path,
    "drain": _drain,
    "open_path": _open_path,
    "name_server": _name_server,
    "zone_partition": _zone_partition,
    "long_packets": _long_packets,
    "two_at_once": _two_at_once,
    "policy_change": _policy_change,
    "pod_network": _pod_network,
    "rare_loss": _rare_loss,
    "loss_of_pair": _loss_of_pair,
    "rollout": _rollout,
    "flapping": _flapping,
    "black_hole": _black_hole,
    "silent_agent": _silent_agent,
    "cut_off_agents": _cut_off_agents,
    "refusing_pair": _refusing_pair,
    "collector_restart": _collector_restart,
    "overlay": _overlay,
    "slow_node": _slow_node,
    "translated": _translated,
    "reused_address": _reused_address,
    "strange_packets": _strange_packets,
    "hogs": _hogs,
}
"""In the order in which they come, so that a few of them already are of many sorts."""

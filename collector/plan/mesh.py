"""Who probes whom."""

from collections.abc import Mapping, Sequence

from collector.discovery.snapshot import Snapshot, Vantage


def peers_of(snapshot: Snapshot) -> Mapping[str, Sequence[Vantage]]:
    """For each vantage by name the vantages that it probes, in the order of their names: here all others (full mesh)."""
    vantages = sorted(snapshot.vantages, key=lambda vantage: vantage.name)
    return {one.name: [other for other in vantages if other.name != one.name] for one in vantages}

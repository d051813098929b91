"""What declared expectations and canaries want probed in a cluster, from its snapshot and the settings."""

from msgspec import structs

from collector.derivation import ExpectSettings
from collector.discovery.canary import canary_wants
from collector.discovery.ends import Ends
from collector.discovery.expecting import expectations_in
from collector.discovery.snapshot import Snapshot
from collector.expectation.controls import Place
from collector.expectation.wants import Wanting, Wants


def wants_in(snapshot: Snapshot, settings: ExpectSettings) -> Wants:
    """The wants of a snapshot; found at once where nobody declares anything."""
    canaries = tuple(canary_wants(snapshot))
    if not snapshot.expectations:
        return Wants(canaries)
    ends = Ends(snapshot)
    places = [
        Place(one.name, ends.vantages[one.name], one.port, one.uid)
        for one in snapshot.vantages
        if one.excluded != "terminating"
    ]
    probed = {f"{pod.namespace}/{pod.name}": pod.probed_ports for pod in snapshot.pods if pod.ready}
    declared = Wanting(expectations_in(snapshot, settings, ends), places, probed=probed, domain=snapshot.domain).wants()
    return structs.replace(declared, paths=(*declared.paths, *canaries))

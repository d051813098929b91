"""What declared expectations want probed in a cluster, from its snapshot and the settings."""

from collector.derivation import ExpectSettings
from collector.discovery.ends import Ends
from collector.discovery.expecting import expectations_in
from collector.discovery.snapshot import Snapshot
from collector.expectation.controls import Place
from collector.expectation.wants import Wanting, Wants


def wants_in(snapshot: Snapshot, settings: ExpectSettings) -> Wants:
    """The wants of a snapshot; found at once where nobody declares anything."""
    if not snapshot.expectations:
        return Wants()
    ends = Ends(snapshot)
    places = [
        Place(one.name, ends.vantages[one.name], one.port, one.uid)
        for one in snapshot.vantages
        if one.excluded != "terminating"
    ]
    probed = {f"{pod.namespace}/{pod.name}": pod.probed_ports for pod in snapshot.pods if pod.ready}
    return Wanting(expectations_in(snapshot, settings, ends), places, probed=probed).wants()

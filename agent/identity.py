"""Which pod addresses were proved to belong to the planned pod, and until when that counts.

In: observations of UDP and HTTP, whose answers carry the pod's UID. Out: whether a success to an address may be believed.
ICMP and TCP carry no identity: a reused pod address answers them just as well, which must never count as a success.
"""

from agent.probes.prober import Observation
from wire.outcome import Outcome
from wire.path import Target


class Confirmations:
    """When each (address, UID) was last proved. A contradiction takes the proof back at once."""

    def __init__(self) -> None:
        self._proved: dict[tuple[str, str], int] = {}

    def take(self, observation: Observation, now: int) -> None:
        """Learn from one observation of any kind."""
        target = observation.probe.path.target
        if not target.uid:
            return
        if observation.confirmed:
            self._proved[target.address, target.uid] = now
        elif observation.outcome is Outcome.WRONG_PEER:
            self._proved.pop((target.address, target.uid), None)

    def confirmed(self, target: Target, since: int) -> bool:
        """Whether a success of this target may be believed: it has no identity of ours, or proved it since then."""
        return not target.uid or self._proved.get((target.address, target.uid), since - 1) >= since

    def forget(self, before: int) -> None:
        """Drop proofs from before this time, which nobody asks for any more."""
        self._proved = {key: proved for key, proved in self._proved.items() if proved >= before}

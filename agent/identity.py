"""Which pod addresses were proved to belong to the planned pod, and when.

In: targets. Out: their proofs, which every path to one pod at one address shares. UDP and HTTP prove, since their answers carry
the pod's UID. ICMP and TCP carry none: a reused pod address answers them just as well, which must never count as a success.
"""

from dataclasses import dataclass
from weakref import WeakValueDictionary

from wire.path import Target

NEVER_NS = -(1 << 62)
"""Before every moment of a monotonic clock."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Proof:
    """When an address was last proved to be that of a UID; a contradiction takes the proof back at once."""

    proved_ns: int = NEVER_NS


class Proofs:
    """The proofs of all pods that anybody asks for: one is forgotten with the last path to its pod."""

    def __init__(self) -> None:
        self._proofs: WeakValueDictionary[tuple[str, str], Proof] = WeakValueDictionary()

    def of(self, target: Target) -> Proof | None:
        """The proof of a target; None where it has no identity of ours, and its successes may be believed."""
        if not target.uid:
            return None
        proof = self._proofs.get((target.address, target.uid))
        if proof is None:
            proof = self._proofs[target.address, target.uid] = Proof()
        return proof

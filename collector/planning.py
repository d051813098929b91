"""Plans of the moment: composed for a snapshot, and turned as keys and slots follow the clock.

In: snapshots and `now_ns`, which never goes back. Out: Plans. All else about plans is in `collector.plan`, which has no time.
"""

from collections.abc import Callable

from msgspec import structs

from collector.derivation import ExpectSettings
from collector.discovery.alike import alike
from collector.discovery.snapshot import Snapshot, Vantage
from collector.discovery.wanted import wants_in
from collector.expectation.wants import Wants
from collector.plan.compose import Plans, compose, rotated
from collector.plan.keys import PHASE_SECONDS, group_keys, group_secret, phase_of
from collector.plan.targets import aimed_at
from collector.settings import SECOND, PlanSettings
from wire.plan import GroupKey

PLANNING_SHARE = 0.05
"""Share of a core that planning for a restless cluster may take."""
LONGEST_REST_SECONDS = 60.0

TURN_SHARE = 0.9
"""Share of a slot over which its plans go out, so that the last one has gone when the next slot begins."""
LONGEST_TURN_SECONDS = PHASE_SECONDS / 2
"""However long a slot is, since agents with the keys of a phase understand those with the next one's and no later ones."""


def rest_seconds(spent: float) -> float:
    """How long nothing is planned after planning took so many seconds.

    So a large cluster that never rests costs no more than its share, and one that is small or at rest is planned for at once.
    """
    return min(spent / PLANNING_SHARE, LONGEST_REST_SECONDS)


def turn_seconds(slot_ns: int) -> float:
    """Over how long the plans of a slot go out."""
    return min(TURN_SHARE * slot_ns / SECOND, LONGEST_TURN_SECONDS)


class Planning:
    """Makes the plans of one collector process; `instance` names it. See `secret` for their group keys.

    `expect` says what is made of policies, by which a control is found for each path that is to be closed.
    """

    def __init__(
        self,
        settings: PlanSettings,
        *,
        instance: int,
        now_ns: Callable[[], int],
        expect: Callable[[], ExpectSettings] = ExpectSettings,
    ) -> None:
        self.settings = settings
        """Those of the last plans."""
        self._expect = expect
        self._instance = instance
        self._now_ns = now_ns
        self.secret: bytes | Callable[[int], bytes] = b""
        """What group keys follow from, or what tells it by the epoch; of the inventory where nothing else is set before."""
        self._phase = self.phase()
        self._planned: Snapshot | None = None
        self._wants = Wants()
        self._composed: Plans | None = None

    def compose(self, snapshot: Snapshot, *, generation: int, settings: PlanSettings | None = None) -> Plans:
        """The plans for a snapshot, by other settings than so far where they are given; raises PlanError."""
        settings = settings or self.settings
        if not self.secret and snapshot.vantages:
            # For the life of the process: other keys for some agents, and not yet for others, would look like loss.
            self.secret = group_secret([snapshot.secret] if snapshot.secret else [one.key for one in snapshot.vantages])
        phase, wants = self.phase(), wants_in(snapshot, self._expect())
        plans = compose(
            snapshot,
            settings,
            wants=wants,
            instance=self._instance,
            generation=generation,
            keys=self.keys(phase),
            slot=self.slot(settings),
        )
        if self._composed is not None:
            plans = plans.following(self._composed)
        self._composed = plans
        self.settings = settings
        self._phase = phase  # and not before: where there is no plan, the keys of this phase are still to be spread
        self._planned, self._wants = snapshot, wants
        return plans

    def is_planned(self, snapshot: Snapshot, settings: PlanSettings | None = None) -> bool:
        """Whether the last plans are those for this snapshot too: it differs in nothing that anybody is asked to do."""
        same = settings is None or settings == self.settings
        if not same or self._planned is None or not _asks_the_same(self._planned, snapshot):
            return False
        return wants_in(snapshot, self._expect()) == self._wants

    def is_due(self, plans: Plans) -> bool:
        """Whether these plans have the keys of another phase, or are those of another slot, by now."""
        return self.phase() != self._phase or (plans.rotates and self.slot() != plans.slot)

    def turned(self, plans: Plans) -> Plans:
        """The same plans in the slot and with the keys of now."""
        phase = self.phase()
        turned = rotated(plans, generation=plans.generation + 1, keys=self.keys(phase), slot=self.slot()).following(plans)
        self._phase, self._composed = phase, turned
        return turned

    def keys(self, phase: int) -> tuple[GroupKey, ...]:
        """The group keys of a phase; none while there is nothing that they could follow from."""
        return group_keys(self.secret, phase) if self.secret else ()

    def phase(self) -> int:
        """The phase of the keys."""
        return phase_of(self._now_ns() / SECOND)

    def slot(self, settings: PlanSettings | None = None) -> int:
        """The slot of the rotation."""
        return self._now_ns() // (settings or self.settings).rotation.slot


def _asks_the_same(before: Snapshot, after: Snapshot) -> bool:
    """Whether two snapshots differ in nothing that a plan depends on; what is equal as it stands is not looked at closely."""
    return (
        _without_lists(before) == _without_lists(after)
        and alike(before.nodes, after.nodes, lambda one: structs.replace(one, excluded="", labels={}))
        and alike(before.vantages, after.vantages, _asked_of)
        and alike(before.services, after.services, lambda one: structs.replace(one, endpoints=one.endpoints and 1))
    )


def _without_lists(snapshot: Snapshot) -> Snapshot:
    """What is left without nodes, vantages, services and all that is known of policies and expectations."""
    return structs.replace(
        snapshot,
        nodes=(),
        vantages=(),
        services=(),
        namespaces=(),
        backed=(),
        policies=(),
        opaque=(),
        policies_read=True,
        expectations=(),
        pods=(),
        profile="",
    )


def _asked_of(one: Vantage) -> Vantage:
    """A vantage without why it is excluded, unless nobody probes it any more, and without what policies select it by."""
    return structs.replace(one, excluded="" if aimed_at(one) else one.excluded, labels={}, annotations={})

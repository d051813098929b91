"""What the policies in force say of a connection.

In: policies in the common form, what the plugin does where the API leaves it open, two ends and a connection. Out: a Decision
with its reasons. Where the APIs do not say what holds, every reading is followed, and only what all of them agree on is said.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from collector.policy.ends import Connection, End, Pod, address_of, is_name_alone, node_of
from collector.policy.isolation import isolation_says
from collector.policy.profile import GENERIC, Profile
from collector.policy.rules import Action, BlockPeer, Direction, Match, Opaque, Policy, Side, Tier, has_port, rule_matches


class Answer(StrEnum):
    """What should hold of a connection."""

    ALLOW = "allow"
    DENY = "deny"
    UNSPECIFIED = "unspecified"
    """The APIs leave it to the plugin, and nobody says what this one does."""
    UNKNOWN = "unknown"
    """Something takes part that cannot be read."""


class Reason(Struct, frozen=True):
    """What decided one direction."""

    direction: Direction | None
    """None for what concerns both."""
    answer: Answer
    because: str
    policy: str = ""
    """Kind, namespace and name; empty where no policy decided."""
    rule: int | None = None
    """Place of the rule in its list, from 0; None where it is the lack of a rule that decided."""
    tier: Tier | None = None
    """Of the policy that decided."""

    def __str__(self) -> str:
        """As in a sentence."""
        return f"{self.direction}: {self.because}" if self.direction else self.because


class Decision(Struct, frozen=True):
    """An answer and what it follows from."""

    answer: Answer
    reasons: tuple[Reason, ...]

    @property
    def because(self) -> str:
        """The reasons as a sentence."""
        return "; ".join(str(reason) for reason in self.reasons)


class Policies:
    """All policies of a cluster at one moment. A value; the profile says what the plugin does where the API is open."""

    def __init__(self, policies: Iterable[Policy], opaque: Iterable[Opaque] = (), profile: Profile = GENERIC) -> None:
        self.profile = profile
        self.policies = tuple(policies)
        self.opaque = tuple(opaque)
        self._of_namespace: dict[str, list[Policy]] = defaultdict(list)
        ranked: dict[Tier, dict[int, list[Policy]]] = {Tier.ADMIN: defaultdict(list), Tier.BASELINE: defaultdict(list)}
        for policy in self.policies:
            if policy.tier is Tier.NETWORK_POLICY:
                self._of_namespace[policy.namespace].append(policy)
            else:
                ranked[policy.tier][policy.priority].append(policy)
        self._ranked = {tier: [groups[priority] for priority in sorted(groups)] for tier, groups in ranked.items()}

    def decide(self, source: End, target: End, connection: Connection) -> Decision:
        """What they say of a connection from one end to the other: what either direction denies is denied."""
        for end in (source, target):
            if address_of(end, connection.family) is None and not is_name_alone(end):
                return _alone(Answer.UNKNOWN, f"{end} has no {connection.family.value} address")
        itself = isinstance(source, Pod) and source == target
        if itself and not connection.via_service:
            return _alone(Answer.ALLOW, "a pod always reaches itself")
        said = isolation_says(source, target, connection, self.profile)
        reasons = [Reason(None, Answer(said[0]), said[1])] if said else []
        for direction, subject, other in ((Direction.EGRESS, source, target), (Direction.INGRESS, target, source)):
            if isinstance(subject, Pod):
                reasons += self.decided(Side(direction, subject, other, connection))
        denying = {reason.tier for reason in reasons if reason.answer is Answer.DENY}
        if itself and denying == {Tier.NETWORK_POLICY} and self.profile.hairpin is not False:
            answer = Answer.ALLOW if self.profile.hairpin else Answer.UNSPECIFIED
            return _alone(answer, f"a pod that reaches itself through its service, with {self.profile.name}")
        for answer in (Answer.DENY, Answer.UNKNOWN, Answer.UNSPECIFIED):
            if found := tuple(reason for reason in reasons if reason.answer is answer):
                return Decision(answer, found)
        return Decision(Answer.ALLOW, tuple(reasons) or (Reason(None, Answer.ALLOW, "no policy is about either end"),))

    def decided(self, side: Side) -> list[Reason]:
        """The reason of one direction; none where nothing is said of the pod, which then is open."""
        if hidden := self.unreadable(side.subject):
            return [Reason(side.direction, Answer.UNKNOWN, f"{hidden} is {hidden.because}", str(hidden))]
        possible = list(self._possible(side))
        if len({reason.answer for reason in possible}) == 1:
            return [reason for reason in possible if reason.because][:1]
        because = "; or ".join(dict.fromkeys(reason.because or "no policy is about it" for reason in possible))
        return [Reason(side.direction, Answer.UNSPECIFIED, f"the plugin decides: {because}")]

    def unreadable(self, subject: Pod) -> Opaque | None:
        """A policy that may be about a pod and cannot be read."""
        for one in self.opaque:
            if (not one.namespace or one.namespace == subject.namespace.name) and one.selects(subject):
                return one
        return None

    def selecting(self, subject: Pod, direction: Direction) -> list[Policy]:
        """The NetworkPolicies that isolate a pod in a direction."""
        return [
            policy
            for policy in self._of_namespace.get(subject.namespace.name, ())
            if direction in policy.rules and policy.subject.selects(subject)
        ]

    def ranked(self, tier: Tier) -> Sequence[Sequence[Policy]]:
        """The policies of an admin tier, in groups of equal priority, the first to be asked first."""
        return self._ranked[tier]

    def _possible(self, side: Side) -> Iterator[Reason]:
        """What can be final for a direction: one reason as a rule, more where the APIs leave something open."""
        for tier in Tier:
            outcomes = self._of_namespaced(side) if tier is Tier.NETWORK_POLICY else self._of_ranked(tier, side)
            yield from (reason for reason in outcomes if reason is not None)
            if None not in outcomes:
                return
        yield Reason(side.direction, Answer.ALLOW, "")

    def _of_namespaced(self, side: Side) -> list[Reason | None]:
        """A pod that a NetworkPolicy selects is isolated: what no rule allows is denied. None leaves it to the next tier."""
        selecting = self.selecting(side.subject, side.direction)
        if not selecting:
            return [None]
        if side.subject.host_network and self.profile.selects_host_network is False:
            return [None]
        outcomes: list[Reason | None] = []
        if side.subject.host_network and self.profile.selects_host_network is None:
            outcomes.append(None)
        if exempt := self._exempt(side):
            return [Reason(side.direction, Answer.ALLOW, exempt), *outcomes]
        if side.connection.protocol == "ICMP" and self.profile.icmp == "unspecified":
            because = f"NetworkPolicy leaves ICMP to the plugin, and of {self.profile.name} it is not known"
            return [Reason(side.direction, Answer.UNSPECIFIED, because), *outcomes]
        found = [
            (match, _reason(side.direction, Answer.ALLOW, policy, place))
            for policy, place, match in self._matching(selecting, side)
        ]
        if found:
            outcomes.append(next((reason for match, reason in found if match), found[0][1]))
            if self.profile.exceptions_deny is not False:
                outcomes += self._left_out(selecting, side)
        if not any(match for match, _ in found):
            names = ", ".join(str(policy) for policy in selecting[:3]) + (" and others" if len(selecting) > 3 else "")  # noqa: PLR2004 - enough
            because = f"no rule of {names} allows it"
            outcomes.append(Reason(side.direction, Answer.DENY, because, str(selecting[0]), tier=Tier.NETWORK_POLICY))
        return outcomes

    def _left_out(self, selecting: Sequence[Policy], side: Side) -> Iterator[Reason]:
        """Exceptions that hold the other end, where the plugin may take them for denials."""
        address = address_of(side.other, side.connection.family)
        for policy in selecting:
            for place, rule in enumerate(policy.rules[side.direction]):
                blocks = [peer for peer in rule.peers or () if isinstance(peer, BlockPeer)]
                if address and has_port(rule, side) and any(block.leaves_out(address) for block in blocks):
                    because = f"an exception in rule {place} of {policy} may close it with {self.profile.name}"
                    yield Reason(side.direction, Answer.DENY, because, str(policy), place, Tier.NETWORK_POLICY)

    def _exempt(self, side: Side) -> str:
        """Why no NetworkPolicy is asked; empty where they are."""
        if side.subject.node and node_of(side.other) == side.subject.node:
            return "a pod and its own node always reach each other"
        if side.connection.protocol == "ICMP" and self.profile.icmp == "allowed":
            return f"{self.profile.name} always lets ICMP echo through"
        return ""

    def _of_ranked(self, tier: Tier, side: Side) -> list[Reason | None]:
        """The first rule that matches decides, by priority; among equal ones any that does. None goes to the next tier."""
        outcomes: list[Reason | None] = []
        if side.subject.host_network:
            return [None]  # their API leaves such pods out
        for group in self.ranked(tier):
            final = False
            for policy in group:
                if not policy.subject.selects(side.subject):
                    continue
                for _, place, match in self._matching([policy], side):
                    action = policy.rules[side.direction][place].action
                    answer = Answer.ALLOW if action is Action.ACCEPT else Answer.DENY
                    outcomes.append(None if action is Action.PASS else _reason(side.direction, answer, policy, place))
                    if match:
                        final = True
                        break
            if final:
                return outcomes
        return [*outcomes, None]

    def _matching(self, policies: Sequence[Policy], side: Side) -> Iterator[tuple[Policy, int, Match]]:
        """Rules that are, or may be, about a connection: their policy and their place in it."""
        for policy in policies:
            for place, rule in enumerate(policy.rules[side.direction]):
                match = rule_matches(rule, side, policy.tier, self.profile)
                if match is not False:
                    yield policy, place, match


def _reason(direction: Direction, answer: Answer, policy: Policy, place: int) -> Reason:
    rule = policy.rules[direction][place]
    words = f"rule {place}" + (f" ({rule.name})" if rule.name else "")
    verb = "allows" if answer is Answer.ALLOW else "denies"
    return Reason(direction, answer, f"{words} of {policy} {verb} it", str(policy), place, policy.tier)


def _alone(answer: Answer, because: str) -> Decision:
    return Decision(answer, (Reason(None, answer, because),))

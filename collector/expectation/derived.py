"""What follows from the policies in force, as far as the settings let it follow.

In: policies, settings, two ends and a connection. Out: an answer, what it follows from, and which policy, direction and rule
decided. What is left out by the settings is `unspecified`, and what cannot be read `unknown`: neither is ever a verdict.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct, structs

from collector.derivation import OPT_OUT, ExpectSettings
from collector.policy.ends import Connection, End, Pod, address_of
from collector.policy.evaluate import Answer, Decision, Policies, Reason
from collector.policy.isolation import isolation_says
from collector.policy.profile import GENERIC, PROFILES, Profile, profile_of

SourceWord = Literal["declared", "networkpolicy", "cnp", "tf", "canary", "history", "none"]

_KINDS: Final[dict[str, SourceWord]] = {"NetworkPolicy": "networkpolicy", "ClusterNetworkPolicy": "cnp"}


class Derived(Struct, frozen=True):
    """An answer that nobody declared."""

    answer: Answer
    source: SourceWord
    because: str
    policy: str = ""
    """Kind, namespace and name of the policy that decided; empty where none did."""
    rule: int | None = None
    direction: str = ""


def profile_in_force(detected: str, settings: ExpectSettings) -> Profile:
    """What the network plugin does: the one that was found, or that the settings name, with what they say of it."""
    name = detected if settings.cni_profile == "auto" else settings.cni_profile
    profile = profile_of(
        name if name in PROFILES else GENERIC.name,
        isolated_to_open=settings.tf_isolated_to_open,
        opened_services=settings.tf_opened_services,
    )
    if settings.ipblock_matches_pods == "auto":
        return profile
    return structs.replace(profile, blocks_match_pods=settings.ipblock_matches_pods)


class Derivation:
    """Policies with the settings that say what is made of them. `read` is whether we were allowed to look at policies."""

    def __init__(self, policies: Policies, settings: ExpectSettings, *, read: bool = True) -> None:
        self.policies = policies
        self._settings = settings
        self._read = read

    def of(self, source: End, target: End, connection: Connection) -> Derived:
        """What is to be expected of a connection."""
        if (left_out := self._left_out(source, target, connection)) is not None:
            return left_out
        decision = self.policies.decide(source, target, connection)
        if decision.answer is Answer.DENY:
            return self._denied(source, target, connection, decision)
        return _made(decision.answer, decision.reasons, decision.because, self._word(source, target, connection, decision))

    def _left_out(self, source: End, target: End, connection: Connection) -> Derived | None:
        settings = self._settings
        if not settings.derive:
            return Derived(Answer.UNSPECIFIED, "none", "nothing is derived from policies (expect.derive)")
        spaces = [end.namespace for end in (source, target) if isinstance(end, Pod)]
        for space in spaces:
            if space.name in settings.exclude or space.annotations.get(OPT_OUT) == "false":
                return Derived(Answer.UNSPECIFIED, "none", f"nothing is derived about namespace {space.name}")
        if settings.include and not any(space.name in settings.include for space in spaces):
            return Derived(Answer.UNSPECIFIED, "none", "nothing is derived about namespaces that expect.include does not name")
        if connection.protocol == "ICMP" and settings.icmp == "ignore":
            return Derived(Answer.UNSPECIFIED, "none", "nothing is derived about ICMP (expect.icmp)")
        if not self._read:
            return Derived(Answer.UNKNOWN, "none", "the policies in force may not be read")
        return None

    def _denied(self, source: End, target: End, connection: Connection, decision: Decision) -> Derived:
        """Only what the settings let close a path does."""
        if not self.policies.profile.enforces:
            because = f"{decision.because}, and the network plugin enforces no policies"
            return Derived(Answer.UNSPECIFIED, "none", because)
        counting = [reason for reason in decision.reasons if self._counts(reason)]
        if not counting:
            because = f"{decision.because}, which expect.kinds and expect.directions leave out"
            return Derived(Answer.UNSPECIFIED, "none", because)
        word = self._word(source, target, connection, Decision(Answer.DENY, tuple(counting)))
        return _made(Answer.DENY, counting, decision.because, word)

    def _counts(self, reason: Reason) -> bool:
        if reason.direction is None:
            return True  # isolation of namespaces is neither a kind of policy nor of a direction
        return reason.direction.value in self._settings.directions and reason.policy.partition(" ")[0] in self._settings.kinds

    def _word(self, source: End, target: End, connection: Connection, decision: Decision) -> SourceWord:
        deciding = next((reason for reason in decision.reasons if reason.policy), None)
        if deciding is not None:
            return _KINDS.get(deciding.policy.partition(" ")[0], "none")
        if any(address_of(end, connection.family) is None for end in (source, target)) or decision.answer is Answer.ALLOW:
            return "none"
        return "tf" if isolation_says(source, target, connection, self.policies.profile) else "none"


def _made(answer: Answer, reasons: Sequence[Reason], because: str, word: SourceWord) -> Derived:
    deciding = next((reason for reason in reasons if reason.policy), reasons[0])
    direction = deciding.direction.value if deciding.direction else ""
    return Derived(answer, word, because, deciding.policy, deciding.rule, direction)

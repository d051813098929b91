"""What should hold of a connection, and who says so: people before policies.

In: the policies in force, what people declared, the cluster that both are about, two ends and a connection. Out: an
Expectation, with what it follows from. Ends that nothing here can tell apart have the same key, and the same expectations.
"""

from collections.abc import Hashable, Sequence
from typing import Final, Literal

from msgspec import Struct

from collector.derivation import ExpectSettings
from collector.expectation.cluster import Cluster, Service
from collector.expectation.declared import Declarations, Marks
from collector.expectation.derived import Derivation, Derived, SourceWord
from collector.expectation.document import Declared, Grace, Objectives
from collector.policy.classes import Features
from collector.policy.ends import Connection, End, Host, Node, Pod, address_of, is_name_alone, node_of
from collector.policy.evaluate import Answer, Policies
from collector.policy.isolation import isolation_of
from collector.policy.profile import GENERIC
from wire.path import Family

Severity = Literal["critical", "warning", "info"]
DenyOutcome = Literal["any", "timeout", "reject"]

_RANK: Final = {"critical": 0, "warning": 1, "info": 2}
_ANSWER: Final = {"allow": Answer.ALLOW, "deny": Answer.DENY, "none": Answer.UNSPECIFIED}
_GRACE: Final = Grace()


class Expectation(Struct, frozen=True):
    """What should hold of one connection."""

    answer: Answer
    source: SourceWord
    because: str
    name: str = ""
    """Namespace and name of the declaration; empty where nobody declared it."""
    severity: Severity = "warning"
    owner: str = ""
    policy: str = ""
    """Kind, namespace and name of the policy that decided, also where a declaration goes before it."""
    rule: int | None = None
    direction: str = ""
    grace_ns: int = _GRACE.after_change
    """After a change of policies, labels, pods or endpoints."""
    start_grace_ns: int = _GRACE.after_pod_start
    """After a pod of either end has started."""
    confirm: tuple[int, int] = (3, 5)
    """How many of how many probes must fail."""
    slo: Objectives | None = None
    deny_outcome: DenyOutcome = "any"
    """How a closed path may look: `any` way but open, only by `timeout`, or only by refusal."""
    match: Literal["each", "any"] = "each"
    """`any`: one target of the declaration is enough for each source."""
    mute_reason: str = ""
    muted_until_ns: int = 0
    """Unix time up to which nobody is told; 0 for not muted."""


class Expectations:
    """All expectations at one moment. A value; answers are found when they are first asked for."""

    def __init__(
        self,
        policies: Policies,
        declared: Sequence[Declared] = (),
        cluster: Cluster | None = None,
        *,
        settings: ExpectSettings | None = None,
        read: bool = True,
    ) -> None:
        self.policies = policies
        self.cluster = cluster or Cluster()
        self.declared = tuple(declared)
        self.declarations = Declarations(self.declared, self.cluster)
        self.derivation = Derivation(policies, settings or ExpectSettings(), read=read)
        self.read = read
        """Whether we may look at policies."""
        asked = Features.of(policies)
        self._labels = asked.labels
        self._blocks = sorted(asked.blocks, key=str)
        self._kept: dict[tuple[str, str], tuple[Hashable, Marks]] = {}
        self._found: dict[Hashable, Expectation] = {}

    def of(self, source: End, target: End, connection: Connection, service: str = "") -> Expectation:
        """What is expected of a connection. A service is asked for by each endpoint, with the port that it has there.

        `service` is namespace and name of the service that it goes through, where that is known.
        """
        key = (self.pair_key(source, target), connection, service)
        found = self._found.get(key)
        if found is None or found.answer is Answer.UNKNOWN:  # of which the sentence may name the very ends
            found = self._found[key] = self._of(source, target, connection, service)
        return found

    def through(self, source: End, service: Service, port: int, family: Family = Family.IPV4) -> Expectation:
        """What is expected of a port of a service: what is of each endpoint, where that is the same of all."""
        each = [
            self.of(source, one.pod, Connection(one.port.protocol, one.target_port, family, via_service=True), str(service))
            for one in service.backings
            if one.port.port == port and address_of(one.pod, family) is not None
        ]
        if not each:
            return Expectation(Answer.UNKNOWN, "none", f"service {service} has no ready endpoint for port {port}")
        answers = [one.answer for one in each]
        if len(set(answers)) == 1:
            return each[0]
        if each[0].match == "any" and Answer.ALLOW in answers:
            return each[answers.index(Answer.ALLOW)]
        because = f"{answers.count(Answer.ALLOW)} of {len(answers)} endpoints of service {service} are open"
        return Expectation(Answer.UNSPECIFIED, "none", because)

    def class_key(self, end: End) -> Hashable:
        """What tells an end from others: two with equal keys are treated alike, but for what is on their own nodes."""
        return self._known(end)[0]

    def pair_key(self, source: End, target: End) -> Hashable:
        """What tells a pair from others: pairs with equal keys have equal expectations of any connection."""
        near = bool((node := node_of(target)) and isinstance(source, Pod) and node == source.node)
        near_back = bool((node := node_of(source)) and isinstance(target, Pod) and node == target.node)
        itself = isinstance(source, Pod) and isinstance(target, Pod) and str(source) == str(target)
        return (self.class_key(source), self.class_key(target), near, near_back, itself)

    def _known(self, end: End) -> tuple[Hashable, Marks]:
        name = (type(end).__name__, str(end))
        known = self._kept.get(name)
        if known is None:
            marks = self.declarations.marks(end)
            known = self._kept[name] = ((type(end).__name__, self._features(end), marks), marks)
        return known

    def _features(self, end: End) -> Hashable:
        families = (address_of(end, Family.IPV4) is not None, address_of(end, Family.IPV6) is not None)
        if isinstance(end, Host):
            return (end.addresses, end.name)
        if isinstance(end, Node):
            return (families, self._held(end), _sorted(end.labels))
        labels = _sorted({key: value for key, value in end.labels.items() if key in self._labels})
        own = (end.namespace.name, labels, end.ports, isolation_of(end), self._held(end), families)
        return (*own, end.host_network)

    def _held(self, end: End) -> tuple[int, ...]:
        if not self._blocks:
            return ()
        addresses = [address for family in Family if (address := address_of(end, family)) is not None]
        return tuple(place for place, block in enumerate(self._blocks) if any(block.holds(address) for address in addresses))

    def _of(self, source: End, target: End, connection: Connection, service: str) -> Expectation:
        derived = self.derivation.of(source, target, connection)
        asking, asked = self._known(source)[1], self._known(target)[1]
        about = list(self.declarations.about(asking, asked, target, connection, service))
        if not about or not all(has_family(end, connection.family) for end in (source, target)):
            return self._derived(derived)
        return _declared(about, derived)

    def _derived(self, derived: Derived) -> Expectation:
        profile = self.policies.profile
        return Expectation(
            derived.answer,
            derived.source,
            derived.because,
            policy=derived.policy,
            rule=derived.rule,
            direction=derived.direction,
            deny_outcome="any" if profile.refuses or profile.name == GENERIC.name else "timeout",
        )


def _declared(about: Sequence[Declared], derived: Derived) -> Expectation:
    """What declarations say together: those that only measure say nothing, and two that contradict each other neither."""
    telling = [one for one in about if one.spec.expect != "none"] or list(about)
    said = {one.spec.expect for one in telling}
    first = min(telling, key=lambda one: (_RANK[one.spec.severity], one.name))
    spec, answer = first.spec, _ANSWER[first.spec.expect]
    because = f"{first} says {spec.expect}"
    if len(said) > 1:
        other = next(one for one in telling if one.spec.expect != spec.expect)
        answer, because = Answer.UNKNOWN, f"{because}, and {other} says {other.spec.expect}"
    elif spec.expect == "none":
        because = f"{first} only measures"
    elif derived.answer in {Answer.ALLOW, Answer.DENY} and derived.answer is not answer:
        because = f"{because}, although {derived.because}"
    return Expectation(
        answer,
        "declared",
        because,
        name=first.name,
        severity=spec.severity,
        owner=spec.owner,
        policy=derived.policy,
        rule=derived.rule,
        direction=derived.direction,
        grace_ns=spec.grace.after_change,
        start_grace_ns=spec.grace.after_pod_start,
        confirm=(spec.confirm.failures, spec.confirm.of),
        slo=spec.slo if answer is Answer.ALLOW else None,
        deny_outcome=spec.enforcement.deny_outcome,
        match=spec.match,
        mute_reason=spec.mute.reason if spec.mute else "",
        muted_until_ns=int(spec.mute.until.timestamp()) * 10**9 if spec.mute else 0,
    )


def has_family(end: End, family: Family) -> bool:
    """Whether it can be asked over a family: a host that is known by its name alone may be, over any."""
    return address_of(end, family) is not None or is_name_alone(end)


def _sorted(labels: object) -> Hashable:
    return tuple(sorted(labels.items())) if isinstance(labels, dict) else ()

"""Policies that change while a scenario runs, as values: what the nodes enforce, and what the collector is told."""

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct, field

from collector.duration import Duration
from lab.policies import Document, applied, deleted, name_of

_AT_ONCE = Duration(0)


class PolicyChange(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A policy is applied or deleted. The nodes and the collector hear of it at once, or later, or only one of them."""

    apply: Document = field(default_factory=dict)
    delete: str = ""
    """Such as `pay/deny-all`."""
    only: Literal["enforced", "told"] | None = None
    """`enforced`: it happens, and nobody is told; `told`: the collector is told, and nothing else happens."""
    enforced_after: Duration = _AT_ONCE
    """How much later the nodes enforce it."""
    told_after: Duration = _AT_ONCE
    """How much later the collector's inventory says so."""

    def __post_init__(self) -> None:
        """Raise ValueError unless it is exactly one thing."""
        if bool(self.apply) == bool(self.delete):
            raise ValueError("expected either apply or delete")

    def of(self, policies: Sequence[Document]) -> tuple[Document, ...]:
        """What is in force after it."""
        return applied(policies, self.apply) if self.apply else deleted(policies, self.delete)

    @property
    def name(self) -> str:
        """For people."""
        return f"apply {name_of(self.apply)}" if self.apply else f"delete {self.delete}"


def check_policies(policies: Sequence[Document], changes: Sequence[tuple[str, PolicyChange | None]]) -> None:
    """Raise ValueError where a document is no policy, or where one is deleted that never was; changes by their place."""
    known = set()
    for number, document in enumerate(policies):
        known.add(_name(document, f"policies[{number}]"))
    for place, change in changes:
        if change is None:
            continue
        if change.apply:
            known.add(_name(change.apply, f"{place}.policy.apply"))
        elif change.delete not in known:
            raise ValueError(f"{place}.policy.delete: there is no policy {change.delete!r} before")


def moments(change: PolicyChange, at: int) -> Iterator[tuple[int, Literal["enforce", "tell"]]]:
    """When the collector and when the nodes hear of it, in nanoseconds of the scenario: in this order at the same time."""
    if change.only != "enforced":
        yield at + change.told_after, "tell"
    if change.only != "told":
        yield at + change.enforced_after, "enforce"


def _name(document: Document, place: str) -> str:
    try:
        return name_of(document)
    except ValueError as error:
        raise ValueError(f"{place}: {str(error).removeprefix('policy: ')}") from None

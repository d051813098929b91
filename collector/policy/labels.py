"""Label selectors (Kubernetes API, meta/v1 LabelSelector).

A selector that is missing and one that is empty are different things: the empty one selects everything, and what a missing one
means is said by the field that it is missing from.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Labels = Mapping[str, str]

NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server sets this label on every namespace; manifests do not carry it."""


class Requirement(Struct, frozen=True, rename="camel"):
    """One expression. `NotIn` is true where the key is absent, `In` is not."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] | None = None

    def holds(self, labels: Labels) -> bool:
        """Whether these labels fulfil it."""
        match self.operator:
            case "In":
                return labels.get(self.key) in (self.values or ())
            case "NotIn":
                return labels.get(self.key) not in (self.values or ())
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class Selector(Struct, frozen=True, rename="camel"):
    """All of its labels and all of its expressions must hold; an empty one holds always."""

    match_labels: Mapping[str, str] | None = None
    match_expressions: tuple[Requirement, ...] | None = None

    def selects(self, labels: Labels) -> bool:
        """Whether these labels are selected."""
        wanted = self.match_labels or {}
        return all(labels.get(key) == value for key, value in wanted.items()) and all(
            requirement.holds(labels) for requirement in self.match_expressions or ()
        )

    def never(self) -> str | None:
        """Why no labels at all can be selected, where that is so."""
        wanted = dict(self.match_labels or {})
        for one in self.match_expressions or ():
            alone = Selector(match_expressions=(one,))
            if one.key in wanted and not alone.selects(wanted):
                return f"{one.key} would have to be {wanted[one.key]!r} and not be"
            absent = {"DoesNotExist": "Exists", "Exists": "DoesNotExist", "In": "DoesNotExist"}.get(one.operator)
            if any(other.key == one.key and other.operator == absent for other in self.match_expressions or ()):
                return f"{one.key} would have to be there and not be"
        return None


EVERYTHING = Selector()


def namespace_labels(name: str, labels: Labels) -> Labels:
    """The labels of a namespace, with the one that the API server sets."""
    return {**labels, NAME_LABEL: name}

"""How it stands with what people declared, as it is written at their objects: where there are objects to write at."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

MAX_EXAMPLES: Final = 10

Truth = Literal["True", "False", "Unknown"]


class Condition(Struct, frozen=True):
    """One condition, as Kubernetes has them."""

    type: Literal["Satisfied", "Verified", "Consistent"]
    status: Truth
    reason: str
    """One word of letters."""
    message: str


class Example(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """One pair that shows it."""

    source: str
    target: str
    port: str
    verdict: str
    because: str


class Standing(Struct, frozen=True):
    """Of one declaration.

    Counts are by `pairs`, `ok`, `broken`, `leaking`, `targetDown`, `unverifiable`, `unknown` and `grace`.
    """

    kind: str
    namespace: str
    """Empty for one of the whole cluster."""
    name: str
    conditions: tuple[Condition, ...]
    counts: Mapping[str, int] = {}
    examples: tuple[Example, ...] = ()

    @property
    def truths(self) -> tuple[Truth, ...]:
        """What the conditions come to: where one of these changes, people want to know soon."""
        return tuple(condition.status for condition in self.conditions)

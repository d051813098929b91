"""Which sorts of objects the API is asked for, and how."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")


class Resource(Struct, Generic[T], frozen=True):
    """A sort of objects that is followed."""

    group: str
    """API group; empty for the core."""
    name: str
    """Its plural, as it stands in paths."""
    read: Callable[[bytes | msgspec.Raw], T]
    """What is kept of one object; raises ValueError."""
    labels: str = ""
    """Which objects: a label selector."""
    versions: tuple[str, ...] = ("v1",)
    """Of the API, the best first."""
    optional: bool = False
    """Whether everything else works without it: it need not exist, and we need not be allowed to see it."""
    namespace: str = ""
    """Only of this one."""
    wanted: Callable[[T], bool] = lambda _: True
    """Whether an object is kept at all."""

    def path(self, version: int = 0) -> str:
        """Where all of them are, in one of its versions."""
        where = f"namespaces/{self.namespace}/{self.name}" if self.namespace else self.name
        return f"/apis/{self.group}/{self.versions[version]}/{where}" if self.group else f"/api/v1/{where}"


def reading(type_: type[Any], keep: Callable[[Any], T]) -> Callable[[bytes | msgspec.Raw], T]:
    """What turns the JSON of an object into what is kept of it."""
    decoder = msgspec.json.Decoder(type_)
    return lambda content: keep(decoder.decode(content))

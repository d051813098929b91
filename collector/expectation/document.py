"""ReachabilityExpectation and ClusterReachabilityExpectation (netmatrix.io/v1alpha1), as the API or a file has them.

In: a document. Out: a Declared, which is valid, or one sentence with the path. Whether it selects anything, or agrees with
others and with the policies in force, is not asked here: Kubernetes would take it all the same.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from collector.document import converted
from collector.duration import Duration
from collector.expectation.asks import PortAsk, ports_complaint
from collector.expectation.peers import Destination, Source, peer_complaints
from wire.text import PRINTABLE, Name, OptionalName

API_VERSION: Final = "netmatrix.io/v1alpha1"
NAMESPACED: Final = "ReachabilityExpectation"
CLUSTER_SCOPED: Final = "ClusterReachabilityExpectation"
KINDS: Final = (NAMESPACED, CLUSTER_SCOPED)
OWN_PORT: Final = 8620
"""Where agents answer; the one port of a node's address that may be asked."""

_SECOND: Final = 1_000_000_000
_LONGEST_GRACE: Final = 3600 * _SECOND
_LONGEST_WINDOW: Final = 3600 * _SECOND

Line = Annotated[str, Meta(max_length=1024)]
Label = Annotated[str, Meta(max_length=64, pattern=PRINTABLE)]
Share = Annotated[str, Meta(max_length=12, pattern=r"^[0-9]{1,3}(\.[0-9]{1,6})?%\Z")]


class Grace(Struct, frozen=True, rename="camel"):
    """How long what is seen may differ, 0s to 1h."""

    after_change: Duration = Duration(60 * _SECOND)
    """After a change of policies, labels, pods or endpoints."""
    after_pod_start: Duration = Duration(30 * _SECOND)
    """After a pod of either end has started. A new pod that leaks under an old policy has no grace."""

    def __post_init__(self) -> None:
        """Raise ValueError where a span is out of its range."""
        if max(self.after_change, self.after_pod_start) > _LONGEST_GRACE:
            raise ValueError("a grace is 0s to 1h")


class Confirm(Struct, frozen=True):
    """How many of the last probes must fail before it is believed."""

    failures: Annotated[int, Meta(ge=1, le=20)] = 3
    of: Annotated[int, Meta(ge=1, le=20)] = 5

    def __post_init__(self) -> None:
        """Raise ValueError where more must fail than are looked at."""
        if self.failures > self.of:
            raise ValueError("failures is more than of")


class LossObjective(Struct, frozen=True):
    """Most loss over a window."""

    most: Share = field(name="max")
    window: Duration = Duration(300 * _SECOND)

    def __post_init__(self) -> None:
        """Raise ValueError where a value is out of its range."""
        if self.ratio > 1:
            raise ValueError("max is more than 100%")
        _window(self.window)

    @property
    def ratio(self) -> float:
        """0 to 1."""
        return float(self.most.removesuffix("%")) / 100


class LatencyObjective(Struct, frozen=True):
    """Longest latency at a quantile over a window; at least one quantile."""

    p50: Duration | None = None
    p95: Duration | None = None
    p99: Duration | None = None
    window: Duration = Duration(300 * _SECOND)

    def __post_init__(self) -> None:
        """Raise ValueError where there is no quantile, or the window is out of its range."""
        if not self.quantiles:
            raise ValueError("latency needs one of p50, p95, p99")
        _window(self.window)

    @property
    def quantiles(self) -> dict[float, Duration]:
        """Latency in nanoseconds by quantile."""
        given = ((0.5, self.p50), (0.95, self.p95), (0.99, self.p99))
        return {quantile: value for quantile, value in given if value is not None}


class Objectives(Struct, frozen=True):
    """How good an open path should be."""

    loss: LossObjective | None = None
    latency: LatencyObjective | None = None


class Enforcement(Struct, frozen=True, rename="camel"):
    """What a closed path should look like."""

    deny_outcome: Literal["any", "timeout", "reject"] = "any"
    """Anything that is not open, or only silence, or only a refusal."""


class Mute(Struct, frozen=True):
    """No alerts for a while."""

    until: Annotated[datetime, Meta(tz=True)]
    reason: Annotated[str, Meta(min_length=1, max_length=256)]


class Spec(Struct, frozen=True, rename="camel"):
    """What is expected."""

    to: Annotated[tuple[Destination, ...], Meta(min_length=1, max_length=16)]
    expect: Literal["allow", "deny", "none"]
    """`none` to measure only."""
    sources: Annotated[tuple[Source, ...], Meta(max_length=16)] = field(name="from", default=())
    """Without it all pods of its own namespace, or of all namespaces."""
    ports: Annotated[tuple[PortAsk, ...], Meta(max_length=16)] = ()
    """Without it the ports that the target declares; ICMP where it declares none."""
    description: Line = ""
    severity: Literal["info", "warning", "critical"] = "warning"
    owner: Label = ""
    controls: Annotated[tuple[Label, ...], Meta(max_length=16)] = ()
    family: Annotated[tuple[Literal["IPv4", "IPv6"], ...], Meta(max_length=2)] = ()
    """Without it every family that both ends have."""
    match: Literal["each", "any"] = "each"
    """Whether each pair must hold, or one target is enough for every source."""
    grace: Grace = Grace()
    confirm: Confirm = Confirm()
    slo: Objectives | None = None
    enforcement: Enforcement = Enforcement()
    mute: Mute | None = None


class Metadata(Struct, frozen=True):
    """What is used of an object's metadata."""

    name: Name
    namespace: OptionalName = ""
    uid: OptionalName = ""
    generation: int = 0
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Declared(Struct, frozen=True, rename="camel"):
    """An expectation that somebody declared: the document itself, valid and with nothing in it that is not known."""

    kind: Literal["ReachabilityExpectation", "ClusterReachabilityExpectation"]
    metadata: Metadata
    spec: Spec
    api_version: Literal["netmatrix.io/v1alpha1"] = "netmatrix.io/v1alpha1"

    def __post_init__(self) -> None:
        """Raise ValueError with the path of what this kind may not ask for."""
        for path, sentence in _complaints(self):
            raise ValueError(f"{path}: {sentence}")

    @property
    def namespace(self) -> str:
        """Its own namespace; empty for a cluster-scoped one."""
        return "" if self.kind == CLUSTER_SCOPED else self.metadata.namespace or "default"

    @property
    def name(self) -> str:
        """Namespace and name, or the name alone of a cluster-scoped one."""
        return f"{self.namespace}/{self.metadata.name}" if self.namespace else self.metadata.name

    def __str__(self) -> str:
        """As in a sentence."""
        return f"{self.kind} {self.name}"


def declared(document: Mapping[str, Any]) -> Declared:
    """The expectation in an object of the API or of a file; raises ValueError: `spec.exepct: unknown key; allowed are ...`."""
    if not isinstance(document, Mapping):
        raise ValueError("expected a mapping")  # noqa: TRY004 - of a document that a user wrote
    metadata = document.get("metadata")
    kept = {key: value for key, value in document.items() if key != "status"}
    if isinstance(metadata, Mapping):  # the API server adds more to it with every version
        kept["metadata"] = {
            key: value for key, value in metadata.items() if key in Metadata.__struct_fields__ and value is not None
        }
    return converted(kept, Declared)


def _window(span: Duration) -> None:
    if not _SECOND <= span <= _LONGEST_WINDOW:
        raise ValueError("window must be 1s to 1h")


def _complaints(one: Declared) -> Iterator[tuple[str, str]]:
    spec, own = one.spec, one.namespace
    if one.kind == CLUSTER_SCOPED and one.metadata.namespace:
        yield "metadata.namespace", f"a {CLUSTER_SCOPED} has none"
    ends: tuple[tuple[str, tuple[Source, ...]], ...] = (("from", spec.sources), ("to", spec.to))
    for word, peers in ends:
        for place, peer in enumerate(peers):
            for path, sentence in peer_complaints(peer, own, asks=word == "from"):
                yield f"spec.{word}[{place}]" + (f".{path}" if path else ""), sentence
    if too_many := ports_complaint(spec.ports):
        yield "spec.ports", too_many
    if any(peer.nodes is not None for peer in spec.to):
        for place, port in enumerate(spec.ports):
            if port.protocol != "ICMP" and (port.port != OWN_PORT or port.end_port not in {None, OWN_PORT}):
                yield (
                    f"spec.ports[{place}].port",
                    f"of a node's address only {OWN_PORT}, which is our own, and ICMP may be asked",
                )
    if len(set(spec.family)) != len(spec.family):
        yield "spec.family", "names one twice"

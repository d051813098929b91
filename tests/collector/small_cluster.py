"""A small cluster as values: three nodes in two zones, a shop pod, a service, a host outside; its plans, and reports of it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from collector.discovery.snapshot import External, Node, Service, Snapshot, Vantage
from collector.matrix.places import target_places
from collector.matrix.store import Matrix
from collector.plan.compose import Plans, compose
from collector.settings import PlanSettings
from wire.histogram import bucket_of
from wire.outcome import Outcome
from wire.path import Family, Http, Icmp, Layer, Path, Target, Tcp, Udp
from wire.plan import GroupKey, Identity, Plan, PlannedPath
from wire.report import Columns, Report, pack
from wire.window import Flag, Measure, Timed, Window

SECOND = 10**9
BOOT = b"b" * 16


def vantage(name: str, node: str, *, number: int, namespace: str = "netmatrix", pod: str = "") -> Vantage:
    return Vantage(
        name=name,
        node=node,
        namespace=namespace,
        pod=pod or f"agent-{name}",
        addresses=(f"10.30.{number}.2",),
        uid=f"uid-{name}",
    )


SNAPSHOT = Snapshot(
    nodes=(Node("n1", "z1"), Node("n2", "z1"), Node("n3", "z2")),
    vantages=(
        vantage("n1", "n1", number=1),
        vantage("n2", "n2", number=2),
        vantage("n3", "n3", number=3),
        vantage("cart", "n2", number=4, namespace="shop", pod="cart-0"),
    ),
    services=(Service("cart", "shop", ("10.96.0.10",), 80),),
    external=(External("example", ("http://www.example.test/",), host="www.example.test"),),
)


def paths_of(snapshot: Snapshot, name: str) -> list[Path]:
    paths = []
    for other in snapshot.vantages:
        if other.name != name:
            target = Target(f"pod/{other.namespace}/{other.pod}", other.node, other.addresses[0], uid=other.uid)
            paths += [Path(name, target, Layer.POD, Family.IPV4, ask) for ask in (Udp(8620), Icmp())]
    for service in snapshot.services:
        full = f"service/{service.namespace}/{service.name}"
        paths.append(Path(name, Target(full, full, service.addresses[0]), Layer.SERVICE, Family.IPV4, Tcp(service.port)))
    for host in snapshot.external:
        full = f"external/{host.name}"
        paths.append(Path(name, Target(full, full, host=host.host), Layer.EXTERNAL, Family.IPV4, Http(80)))
    return paths


def plans_of(snapshot: Snapshot = SNAPSHOT, *, interval_ms: int = 1000) -> dict[str, Plan]:
    zones = {node.name: node.zone for node in snapshot.nodes}
    return {
        one.name: Plan(
            instance=1,
            generation=1,
            identity=Identity(one.name, one.node, zones[one.node], one.namespace, one.pod),
            keys=(),
            report_interval_ms=1000,
            paths=tuple(PlannedPath(path, interval_ms, 500) for path in paths_of(snapshot, one.name)),
        )
        for one in snapshot.vantages
    }


def composed(keys: tuple[GroupKey, ...] = ()) -> Plans:
    """What the planner makes of the small cluster."""
    return compose(SNAPSHOT, PlanSettings(), instance=1, generation=1, keys=keys)


def matrix_of(snapshot: Snapshot = SNAPSHOT, *, max_bytes: int = 10**8, retention_ns: int = 300 * SECOND) -> Matrix:
    matrix = Matrix(max_bytes=max_bytes, stale_after_ns=3 * SECOND, retention_ns=retention_ns)
    replan(matrix, snapshot)
    return matrix


def window(
    path: int,
    latencies: Sequence[int] = (),
    *,
    late: int = 0,
    failed: Mapping[Outcome, int] | None = None,
    local: Mapping[Outcome, int] | None = None,
    flags: Flag = Flag.NONE,
    measures: Mapping[Measure, int] | None = None,
) -> Window:
    return Window(
        path=path,
        received=len(latencies),
        late=late,
        failed=failed or {},
        local=local or {},
        latency=Counter(bucket_of(latency) for latency in latencies),
        sum_ns=sum(latencies),
        min_ns=min(latencies, default=0),
        max_ns=max(latencies, default=0),
        timed=Timed.KERNEL if latencies else Timed.NONE,
        flags=flags,
        measures=measures or {},
    )


def report_of(
    name: str,
    windows: Sequence[Window] = (),
    *,
    columns: Columns | None = None,
    sequence: int = 1,
    boot: bytes = BOOT,
    span_ns: int = 10 * SECOND,
    age_ns: int = 0,
) -> Report:
    return Report(
        vantage=name,
        instance=1,
        boot=boot,
        sequence=sequence,
        acknowledged=0,
        generation=1,
        span_ns=span_ns,
        age_ns=age_ns,
        columns=columns or pack(windows),
    )


def path_to(matrix: Matrix, source: str, target: str, kind: str = "udp") -> Path:
    """The path from a vantage to whatever is called `target`."""
    places = target_places(matrix.snapshot)
    return next(
        path for path in paths_of(matrix.snapshot, source) if target in places[path.target.name].names() and path.kind == kind
    )


def replan(matrix: Matrix, snapshot: Snapshot = SNAPSHOT, plans: Mapping[str, Plan] | None = None) -> None:
    """Take a snapshot and its plans, every row at once."""
    plans = plans_of(snapshot) if plans is None else plans
    matrix.replan(snapshot, plans)
    for name, plan in plans.items():
        matrix.lay(name, plan)

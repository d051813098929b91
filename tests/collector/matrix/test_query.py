from collections import defaultdict
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.discovery.snapshot import DnsServer
from collector.matrix import groups, query
from collector.matrix.groups import group_by
from collector.matrix.places import DIMENSIONS, Place, natural, source_places, target_places
from collector.matrix.query import TooManyError, Wanted, cells, pair, worst, worst_in_slices
from collector.matrix.slices import finished
from collector.matrix.store import Matrix
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, path_to, paths_of, plans_of, replan, report_of, window
from wire.histogram import merged, quantile_ns
from wire.outcome import Outcome
from wire.path import Ask, Dns, Family, Icmp, Kind, Layer, Path, Record, Target
from wire.plan import PlannedPath
from wire.window import Flag, Measure, Window

NOW = 100 * SECOND


def filled(*rows: tuple[str, Window], at: int = NOW) -> Matrix:
    matrix = matrix_of()
    for name, one in rows:
        matrix.apply(report_of(name, [one]), arrived_ns=at, counted=True)
    return matrix


def cell_of(matrix: Matrix, path: int, now_ns: int = NOW, **options: Any) -> dict[str, Any]:
    return next(cell for cell in cells(matrix, now_ns, **options) if cell["path"] == f"{path:016x}")


PATH = path_to(matrix_of(), "n1", "cart-0")


def test_a_cell_says_all_that_is_known_of_it() -> None:
    one = window(
        PATH.id,
        [100_000] * 8,
        late=1,
        failed={Outcome.REFUSED: 1},
        local={Outcome.NO_FD: 2},
        measures={Measure.FORWARD_LOST: 1},
    )
    cell = cell_of(filled(("n1", one)), PATH.id, NOW + SECOND)
    assert cell == {
        "from": {"vantage": "n1", "node": "n1", "zone": "z1", "namespace": "netmatrix", "pod": "agent-n1"},
        "to": {
            "name": "pod/shop/cart-0",
            "node": "n2",
            "zone": "z1",
            "namespace": "shop",
            "pod": "cart-0",
            "service": None,
            "address": "10.30.4.2",
            "port": 8620,
            "network": "",
        },
        "layer": "pod",
        "kind": "udp",
        "family": "ipv4",
        "path": f"{PATH.id:016x}",
        "sent": 10,
        "received": 8,
        "late": 1,
        "failed": {"refused": 1},
        "local": {"no_fd": 2},
        "set_aside": {"unconfirmed": 0, "ill": 0},
        "loss": 0.2,
        "p50_us": 100.0,
        "p99_us": 100.0,
        "min_us": 100.0,
        "max_us": 100.0,
        "timed": "kernel",
        "age_seconds": 1.0,
        "state": "measured",
        "because": "2 of 10 probes lost within 60 s",
        "measures": {"forward_lost": 1},
        "facts": {},
    }


@pytest.mark.parametrize(
    ("one", "now_ns", "because"),
    [
        (None, NOW, "no report yet"),
        (window(PATH.id, [1000]), NOW + 12 * SECOND, "no report for 12 s"),
        (window(PATH.id), NOW, "no probe was judged within 60 s"),
        (window(PATH.id, [1000], flags=Flag.UNCONFIRMED), NOW, "identity not confirmed"),
        (window(PATH.id, [1000], flags=Flag.ILL), NOW, "the agent itself was starved, throttled or suspended"),
        (window(PATH.id, local={Outcome.UNSUPPORTED: 3}), NOW, "not sent: unsupported"),
    ],
)
def test_what_is_unknown_says_why(one: Window | None, now_ns: int, because: str) -> None:
    cell = cell_of(filled(("n1", one)) if one else matrix_of(), PATH.id, now_ns)
    assert (cell["state"], cell["because"]) == ("unknown", because)


def test_what_a_silent_agent_said_of_a_rare_probe_is_not_known_to_hold() -> None:
    matrix = matrix_of()
    replan(matrix, plans=plans_of(interval_ms=10_000))
    matrix.apply(report_of("n1", [window(PATH.id, [1000])]), arrived_ns=NOW, counted=True)
    matrix.apply(report_of("n1", []), arrived_ns=NOW + 8 * SECOND, counted=True)
    states = [cell_of(matrix, PATH.id, NOW + seconds * SECOND) for seconds in (10, 11)]
    assert [(cell["state"], cell["because"]) for cell in states] == [
        ("measured", "0 of 1 probes lost within 60 s"),
        ("unknown", "no report for 3 s"),
    ]


def test_a_cell_without_windows_of_a_vantage_that_reports_has_no_result() -> None:
    matrix = filled(("n1", window(path_to(matrix_of(), "n1", "n3").id, [1000])))
    assert cell_of(matrix, PATH.id)["because"] == "no result yet"


def test_loss_is_known_where_everything_is_lost_and_latency_is_not() -> None:
    cell = cell_of(filled(("n1", window(PATH.id, failed={Outcome.TIMEOUT: 5}))), PATH.id)
    assert (cell["loss"], cell["p50_us"], cell["max_us"], cell["state"]) == (1.0, None, None, "measured")


def test_totals_have_no_span() -> None:
    matrix = filled(("n1", window(PATH.id, [1000] * 3)))
    assert cell_of(matrix, PATH.id, NOW + 500 * SECOND, span_ns=None)["sent"] == 3
    assert cell_of(matrix, PATH.id, NOW + 500 * SECOND)["sent"] == 0


def test_filters_take_every_name_of_a_place() -> None:
    matrix = matrix_of()
    for name in ("cart", "cart-0", "shop/cart-0", "pod/shop/cart-0"):
        found = cells(matrix, NOW, wanted=Wanted(target=name, layer="pod"))
        assert {cell["to"]["pod"] for cell in found} == {"cart-0"}
    assert len(cells(matrix, NOW, wanted=Wanted(target="shop/cart", layer="service"))) == 4
    assert len(cells(matrix, NOW, wanted=Wanted(target="example"))) == 4
    assert {cell["kind"] for cell in cells(matrix, NOW, wanted=Wanted(kind="icmp"))} == {"icmp"}
    assert cells(matrix, NOW, wanted=Wanted(family="ipv6")) == cells(matrix, NOW, wanted=Wanted(source="nobody")) == []


def test_a_pair_has_both_directions_and_each_cell_once() -> None:
    found = pair(matrix_of(), NOW, "n1", "n3")
    assert [(cell["from"]["node"], cell["to"]["node"]) for cell in found] == [("n1", "n3")] * 2 + [("n3", "n1")] * 2
    paths = [cell["path"] for cell in pair(matrix_of(), NOW, "n2", "n2")]
    assert len(paths) == len(set(paths)) == 4


def test_the_worst_are_the_measured_cells_in_order() -> None:
    rows = [(name, path_to(matrix_of(), name, "cart-0").id) for name in ("n1", "n2", "n3")]
    losses = dict(zip((path for _, path in rows), (2, 0, 5), strict=True))
    matrix = filled(*((name, window(path, [1000 * (9 - losses[path])] * 5, late=losses[path])) for name, path in rows))
    assert [cell["late"] for cell in worst(matrix, NOW, 2)] == [5, 2]
    assert [cell["late"] for cell in worst(matrix, NOW, 9, measure="p99")] == [0, 2, 5]
    assert worst(matrix_of(), NOW, 3) == []


def test_cells_that_ask_the_same_target_differently_are_told_apart() -> None:
    matrix = matrix_of()
    pod = Target("pod/shop/cart-0", "n2", "10.30.4.2", uid="uid-cart")
    server = Target("dns/cluster", "dns/cluster", "10.96.0.53")
    storage = Target("pod/shop/cart-0", "n2", "10.40.4.2", uid="uid-cart", network="storage")
    asks: list[tuple[Target, Layer, Ask]] = [
        (pod, Layer.MTU, Icmp(packet_bytes=1400)),
        (pod, Layer.MTU, Icmp(packet_bytes=9000)),
        (server, Layer.DNS, Dns("a.test.")),
        (server, Layer.DNS, Dns("a.test.", tcp=True)),
        (server, Layer.DNS, Dns("a.test.", record=Record.AAAA)),
        (storage, Layer.POD, Icmp()),
    ]
    paths = [Path("n1", target, layer, Family.IPV4, ask) for target, layer, ask in asks]
    snapshot = msgspec.structs.replace(SNAPSHOT, dns=(DnsServer("cluster", ("10.96.0.53",), ("a.test.",)),))
    plan = plans_of()["n1"]
    more = msgspec.structs.replace(plan, paths=(*plan.paths, *(PlannedPath(path, 1000, 500) for path in paths)))
    replan(matrix, snapshot, {**plans_of(), "n1": more})
    windows = [window(path.id, [1000] * place) for place, path in enumerate(paths, 1)]
    matrix.apply(report_of("n1", windows), arrived_ns=NOW, counted=True)
    found = {cell["path"]: cell for cell in cells(matrix, NOW)}
    mine = [found[f"{path.id:016x}"] for path in paths]
    assert [cell["sent"] for cell in mine] == [1, 2, 3, 4, 5, 6]
    assert [cell.get("packet_bytes") for cell in mine] == [1400, 9000, None, None, None, None]
    assert [cell["question"]["tcp"] for cell in mine[2:5]] == [False, True, False]
    assert mine[4]["question"] == {"name": "a.test.", "record": "AAAA", "tcp": False}
    assert [cell["to"]["network"] for cell in mine] == ["", "", "", "", "", "storage"]
    assert [cell["path"] for cell in cells(matrix, NOW, wanted=Wanted(network="storage"))] == [f"{paths[5].id:016x}"]
    assert len(cells(matrix, NOW, wanted=Wanted(target="cluster", network="default"))) == 3
    assert {cell["kind"] for cell in cells(matrix, NOW, wanted=Wanted(layer="dns"))} == {"dns"}
    # One of two that differ leaves the plan: it is unsampled, and not taken for the other.
    less = msgspec.structs.replace(more, paths=tuple(item for item in more.paths if item.path != paths[1]))
    matrix.lay("n1", less)
    states = {cell["path"]: cell["state"] for cell in cells(matrix, NOW, wanted=Wanted(layer="mtu"))}
    assert states == {f"{paths[0].id:016x}": "measured", f"{paths[1].id:016x}": "unsampled"}


def test_too_many_groups_or_cells_are_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "MAX_CELLS", 3)
    monkeypatch.setattr(groups, "MAX_CELLS", 3)
    with pytest.raises(TooManyError, match="use by, from, to, layer or kind"):
        cells(matrix_of(), NOW)
    for table in (2**22, 0):
        monkeypatch.setattr(groups, "MAX_TABLE", table)
        with pytest.raises(TooManyError, match="more than 3 groups"):
            group_by(matrix_of(), NOW, "node", "node")
    assert len(cells(matrix_of(), NOW, wanted=Wanted(source="n1", target="n3"))) == 2


def test_groups_are_the_same_whether_all_are_added_up_or_a_table_or_a_search_finds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = filled(*((path.vantage, window(path.id, [1000 * n], late=n % 3)) for n, path in enumerate(ALL_PATHS, 1)))
    answers = [group_by(matrix, NOW, "vantage", "target")]
    for limit in ("MAX_POSSIBLE", "MAX_TABLE"):
        monkeypatch.setattr(groups, limit, 0)
        answers.append(group_by(matrix, NOW, "vantage", "target"))
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]["cells"]) == 20


def test_the_worst_are_the_same_when_only_candidates_are_looked_at_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = filled(*((path.vantage, window(path.id, [10_000 << n % 9], late=n % 4)) for n, path in enumerate(ALL_PATHS)))
    for measure in ("loss", "p99"):
        expected = [(cell["loss"], cell["p99_us"]) for cell in worst(matrix, NOW, 2, measure=measure)]
        monkeypatch.setattr(query, "_CANDIDATES", 8)
        assert [(cell["loss"], cell["p99_us"]) for cell in worst(matrix, NOW, 2, measure=measure)] == expected
        monkeypatch.undo()


def test_names_sort_as_people_count() -> None:
    assert sorted(["n10", "n2", "m", "n2a", "", "2"], key=natural) == ["", "m", "n2", "n2a", "n10", "2"]


def test_a_group_is_unknown_only_where_no_cell_of_it_is_known() -> None:
    matrix = filled(("n1", window(PATH.id, [1000])))
    group = {(cell["from"], cell["to"]): cell for cell in group_by(matrix, NOW, "node", "node")["cells"]}
    assert group["n1", "n2"]["state"] == "measured"
    assert (group["n1", "n2"]["cells"], group["n1", "n2"]["unknown"]) == (4, 3)
    assert group["n3", "n2"]["state"] == "unknown"
    assert group["n3", "n2"]["loss"] is None


def test_what_should_be_closed_and_is_loses_nothing_and_a_group_of_it_alone_is_closed() -> None:
    to_cart = [path.id for path in paths_of(SNAPSHOT, "n1") if path.target.name == "pod/shop/cart-0"]
    lossy = [("n1", window(path, [5_000], failed={Outcome.TIMEOUT: 9})) for path in to_cart]  # open until a moment ago
    matrix = filled(*lossy, ("n1", window(path_to(matrix_of(), "n1", "agent-n2").id, [1000] * 4)))
    shut = np.array(sorted(to_cart), np.uint64)
    groups = {(one["from"], one["to"]): one for one in group_by(matrix, NOW, "vantage", "target", closed=shut)["cells"]}
    cart, other = groups["n1", "pod/shop/cart-0"], groups["n1", "pod/netmatrix/agent-n2"]
    assert (cart["state"], cart["sent"], cart["loss"], cart["p50_us"], cart["closed"]) == (
        "closed",
        0,
        None,
        None,
        len(to_cart),
    )
    assert (other["state"], other["sent"], other["loss"], other["closed"]) == ("measured", 4, 0.0, 0)
    (both,) = [one for one in group_by(matrix, NOW, "node", "node", closed=shut)["cells"] if one["to"] == "n2" and one["sent"]]
    assert (both["state"], both["sent"], both["loss"], both["closed"]) == ("measured", 4, 0.0, len(to_cart))
    some = worst_in_slices(matrix, NOW, 9, measure="loss", span_ns=query.DEFAULT_SPAN_NS, wanted=Wanted(), closed=shut)
    assert [one["to"]["name"] for one in finished(some)] == ["pod/netmatrix/agent-n2"]


def test_services_are_columns_under_the_nodes() -> None:
    group = group_by(matrix_of(), NOW, "node", "service")
    assert (group["by"], group["rows"], group["columns"]) == ("node:service", ["n1", "n2", "n3"], ["shop/cart"])


def test_another_dimension_is_a_key_error_and_nothing_is_an_empty_group() -> None:
    with pytest.raises(KeyError):
        group_by(matrix_of(), NOW, "colour", "node")
    empty = group_by(matrix_of(), NOW, "node", "node", wanted=Wanted(source="nobody"))
    assert (empty["rows"], empty["columns"], empty["cells"]) == ([], [], [])


def test_a_servers_time_is_no_latency_of_a_group_that_has_answers_of_the_network() -> None:
    by_kind = {path.kind: path for path in paths_of(SNAPSHOT, "n1")}
    both, alone = matrix_of(), matrix_of()
    slow = window(by_kind[Kind.HTTP].id, [50_000_000])
    both.apply(report_of("n1", [window(by_kind[Kind.ICMP].id, [50_000]), slow]), arrived_ns=NOW, counted=True)
    alone.apply(report_of("n1", [slow]), arrived_ns=NOW, counted=True)
    answers = [group_by(matrix, NOW, "vantage", "family")["cells"] for matrix in (both, alone)]
    assert [[cell["p99_us"] for cell in cells if cell["from"] == "n1"] for cells in answers] == [
        [50],
        [50_000],
    ]
    assert [sum(cell["received"] for cell in cells) for cells in answers] == [2, 1]


ALL_PATHS = [path for one in SNAPSHOT.vantages for path in paths_of(SNAPSHOT, one.name)]
PATHS = [(path.vantage, path.id) for path in ALL_PATHS]
HTTP = {path.id for path in ALL_PATHS if path.kind is Kind.HTTP}
counts = st.tuples(
    st.sampled_from(PATHS), st.lists(st.integers(1000, 10**8), max_size=4), st.integers(0, 3), st.integers(0, 3), st.booleans()
)


@settings(max_examples=25)
@given(st.lists(counts, max_size=8), st.sampled_from(DIMENSIONS), st.sampled_from(DIMENSIONS))
def test_a_group_by_is_what_a_loop_over_all_windows_finds(rows: list[Any], one: str, other: str) -> None:
    matrix = matrix_of()
    windows: dict[tuple[str, str], list[Window]] = defaultdict(list)
    sources, targets = source_places(SNAPSHOT), target_places(SNAPSHOT)

    def word(path: Path, place: Place, dimension: str) -> str | None:
        return str(getattr(path, dimension)) if dimension in {"layer", "kind", "family"} else place.group(dimension)

    froms = {path.id: word(path, sources[path.vantage], one) for path in ALL_PATHS}
    tos = {path.id: word(path, targets[path.target.name], other) for path in ALL_PATHS}
    for (name, path), latencies, late, failed, aside in rows:
        flags = Flag.ILL if aside else Flag.NONE
        window_ = window(path, latencies, late=late, failed={Outcome.RESET: failed} if failed else {}, flags=flags)
        matrix.apply(report_of(name, [window_]), arrived_ns=NOW, counted=True)
        row, column = froms[path], tos[path]
        if row is not None and column is not None and not aside:
            windows[row, column].append(window_)
    found = {(cell["from"], cell["to"]): cell for cell in group_by(matrix, NOW, one, other)["cells"]}
    assert set(windows) <= set(found)
    for key, cell in found.items():
        mine = windows[key]
        assert (cell["sent"], cell["received"]) == (sum(w.sent for w in mine), sum(w.received for w in mine))
        assert cell["loss"] == (pytest.approx(sum(w.lost for w in mine) / cell["sent"], abs=1e-6) if cell["sent"] else None)
        network = [w for w in mine if w.received and w.path not in HTTP]
        mine = network or mine
        p99 = quantile_ns(merged(*(w.latency for w in mine)), 0.99)
        assert (cell["p99_us"] is None) == (p99 is None)
        if p99 is not None:
            highest = max(w.max_ns for w in mine if w.received)
            lowest = min(w.min_ns for w in mine if w.received)
            assert cell["p99_us"] * 1000 == pytest.approx(min(max(p99, lowest), highest), abs=51)

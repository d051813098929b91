"""From the matrix to cells."""

from collections.abc import Mapping, Sequence

import msgspec

from collector.discovery.snapshot import Backed, Backend, DnsServer, Node, Pod, Snapshot
from collector.matrix.slices import finished
from collector.matrix.store import Matrix
from collector.verdict.cells import KINDS, LAYERS, Cells, Reason
from collector.verdict.reading import Reader, cells_of
from collector.verdict.sample import behind_of
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, path_to, plans_of, replan, report_of, window
from wire.outcome import Outcome
from wire.path import Kind
from wire.window import Flag, Measure, Window

NOW = 1000 * SECOND


def reported(windows: Mapping[str, Sequence[Window]], matrix: Matrix | None = None, *, at_ns: int = NOW) -> Matrix:
    matrix = matrix or matrix_of()
    for name in ("n1", "n2", "n3", "cart"):
        matrix.apply(report_of(name, windows.get(name, ())), arrived_ns=at_ns, counted=True)
    return matrix


def read(
    matrix: Matrix, *, now_ns: int = NOW, reader: Reader | None = None, leaving: frozenset[str] = frozenset()
) -> list[Cells]:
    heard = {"n1": now_ns, "n2": now_ns - 5 * SECOND}
    sample = finished((reader or Reader()).sample_in_slices(matrix, now_ns, heard=heard, leaving=leaving))
    every = cells_of(sample)
    return [every[place] for place in sample.causal]


def rows(cells: Cells) -> dict[tuple[str, str, str], tuple[int, int, Reason]]:
    """(sent, lost, reason) by source, target and kind."""
    columns = zip(cells.source, cells.target, cells.kind, cells.sent, cells.lost, cells.reason, strict=True)
    return {
        (cells.sources[int(one)].name, cells.targets[int(other)].name, KINDS[kind].value): (int(sent), int(lost), Reason(why))
        for one, other, kind, sent, lost, why in columns
    }


def test_every_planned_cell_is_there_with_its_ends() -> None:
    cells = read(matrix_of())[0]
    assert len(cells) == 4 * (3 * 2 + 2)
    found = {cells.targets[int(one)] for one in cells.target}
    assert {(one.name, one.node, one.zone, one.namespace) for one in found} >= {
        ("pod/netmatrix/agent-n3", "n3", "z2", "netmatrix"),
        ("service/shop/cart", "", "", "shop"),
        ("external/example", "", "", ""),
    }
    assert {LAYERS[layer].value for layer in cells.layer} == {"pod", "service", "external"}


def test_counts_are_those_of_each_span() -> None:
    path = path_to(matrix_of(), "n1", "n3").id
    matrix = reported({"n1": [window(path, [1000] * 7, failed={Outcome.TIMEOUT: 3})]}, at_ns=NOW - 30 * SECOND)
    reported({"n1": [window(path, [1000] * 2, failed={Outcome.TIMEOUT: 1})]}, matrix)
    key = ("n1", "pod/netmatrix/agent-n3", "udp")
    assert [rows(cells)[key][:2] for cells in read(matrix)] == [(3, 1), (13, 4), (13, 4)]


def test_spans_are_whole_steps_near_what_was_asked() -> None:
    matrix = reported({})
    assert [round(cells.span_ns / SECOND) for cells in read(matrix)] == [3, 60, 300]


def test_a_cell_without_a_report_is_stale_and_one_without_a_probe_has_nothing_sent() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n3").id
    matrix.apply(report_of("n1", [window(path, [1000])]), arrived_ns=NOW, counted=True)
    found = rows(read(matrix)[0])
    assert found["n1", "pod/netmatrix/agent-n3", "udp"][2] is Reason.JUDGED
    assert found["n3", "pod/netmatrix/agent-n1", "udp"][2] is Reason.STALE


def test_windows_that_must_not_be_believed_say_why() -> None:
    matrix = matrix_of()
    ill, unconfirmed = path_to(matrix, "n1", "n3").id, path_to(matrix, "n2", "n3").id
    reported({"n1": [window(ill, [1000], flags=Flag.ILL)], "n2": [window(unconfirmed, [1000], flags=Flag.UNCONFIRMED)]}, matrix)
    found = rows(read(matrix)[0])
    assert found["n1", "pod/netmatrix/agent-n3", "udp"][2] is Reason.ILL
    assert found["n2", "pod/netmatrix/agent-n3", "udp"][2] is Reason.IDENTITY


def test_what_an_ill_agent_did_not_answer_is_its_own_fault_unless_its_kernel_answers() -> None:
    matrix = matrix_of()
    own = path_to(matrix, "n3", "n1").id
    to = {kind: path_to(matrix, "n1", "n3", kind).id for kind in ("udp", "icmp")}
    reported(
        {
            "n3": [window(own, [1000], flags=Flag.ILL)],
            "n1": [window(to["udp"], failed={Outcome.TIMEOUT: 5}), window(to["icmp"], [1000] * 5)],
        },
        matrix,
    )
    found = rows(read(matrix)[0])
    assert found["n1", "pod/netmatrix/agent-n3", "udp"][2] is Reason.ILL
    assert found["n1", "pod/netmatrix/agent-n3", "icmp"] == (5, 0, Reason.JUDGED)


def test_what_somebody_else_answered_is_neither_sent_nor_lost() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n3").id
    reported({"n1": [window(path, [1000] * 2, failed={Outcome.WRONG_PEER: 5, Outcome.TIMEOUT: 1})]}, matrix)
    assert rows(read(matrix)[0])["n1", "pod/netmatrix/agent-n3", "udp"] == (3, 1, Reason.JUDGED)


def test_a_name_that_is_not_found_is_no_loss_of_the_way_to_a_host_outside() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "example", "http").id
    reported({"n1": [window(path, [1000] * 2, failed={Outcome.DNS_TIMEOUT: 5, Outcome.TIMEOUT: 1})]}, matrix)
    assert rows(read(matrix)[0])["n1", "external/example", "http"] == (3, 1, Reason.JUDGED)


def all_probed(matrix: Matrix) -> Matrix:
    one, other = path_to(matrix, "n1", "n3").id, path_to(matrix, "n3", "n1").id
    return reported({"n1": [window(one, [1000])], "n3": [window(other, [1000])]}, matrix)


def test_excluded_ends_do_not_count_in_either_direction() -> None:
    matrix = all_probed(matrix_of())
    matrix.exclude(Snapshot(nodes=(*SNAPSHOT.nodes[:2], Node("n3", "z2", excluded="cordoned")), vantages=SNAPSHOT.vantages))
    found = rows(read(matrix)[0])
    assert found["n1", "pod/netmatrix/agent-n3", "udp"][2] is Reason.LEAVING
    assert found["n3", "pod/netmatrix/agent-n1", "udp"][2] is Reason.LEAVING


def test_an_agent_that_says_farewell_takes_its_cells_along() -> None:
    found = rows(read(all_probed(matrix_of()), leaving=frozenset({"n3"}))[0])
    assert found["n1", "pod/netmatrix/agent-n3", "udp"][2] is Reason.LEAVING
    assert found["n3", "pod/netmatrix/agent-n1", "udp"][2] is Reason.LEAVING


def test_a_service_with_nobody_behind_it_is_not_ready() -> None:
    matrix = matrix_of()
    reported({"n1": [window(path_to(matrix, "n1", "shop/cart", "tcp").id, failed={Outcome.NO_ENDPOINTS: 2})]}, matrix)
    services = tuple(msgspec.structs.replace(one, endpoints=0) for one in SNAPSHOT.services)
    matrix.exclude(msgspec.structs.replace(SNAPSHOT, services=services))
    assert rows(read(matrix)[0])["n1", "service/shop/cart", Kind.TCP.value][2] is Reason.NOT_READY


def test_a_burst_counts_as_three_probes_of_the_shortest_span_and_as_none_of_a_window() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "pod/netmatrix/agent-n2", "udp").id
    burst = {Measure.BURST_ENDED: 1, Measure.BURST_SENT: 20, Measure.BURST_LOST: 10}
    short, *longer = read(reported({"n1": [window(path, [1000] * 4, measures=burst)]}, matrix))
    assert rows(short)["n1", "pod/netmatrix/agent-n2", "udp"][:2] == (4, 0)
    assert short.bursts is not None
    assert (short.bursts.sent.tolist(), short.bursts.lost.tolist()) == ([3], [2])
    assert [one.bursts for one in longer] == [None] * len(longer)


def test_behind_a_name_server_are_the_nodes_of_its_service_or_its_own() -> None:
    pod = Pod("kube-system", "dns-0", ("10.30.2.53",), node="n2")
    backends = (Backend(("10.30.2.53",), 53, 53, "dns-0"),)
    snapshot = msgspec.structs.replace(
        SNAPSHOT,
        pods=(pod,),
        backed=(Backed("kube-system", "dns", ("10.96.0.10",), (), backends),),
        dns=tuple(
            DnsServer(name, (address,), ("example.test.",))
            for name, address in (("service", "10.96.0.10"), ("pod", "10.30.2.53"), ("outside", "192.0.2.53"))
        ),
    )
    assert {name: nodes for name, nodes in behind_of(snapshot).items() if name.startswith("dns/")} == {
        "dns/service": ("n2",),
        "dns/pod": ("n2",),
    }


def test_a_path_that_left_the_plan_is_unsampled() -> None:
    matrix = all_probed(matrix_of())
    plan = plans_of()["n1"]
    matrix.lay("n1", msgspec.structs.replace(plan, paths=tuple(one for one in plan.paths if one.path.target.peer != "n3")))
    assert rows(read(matrix)[0])["n1", "pod/netmatrix/agent-n3", "udp"][2] is Reason.UNSAMPLED


def test_the_last_report_of_each_source_is_known_and_none_is_expected_of_others() -> None:
    cells = read(all_probed(matrix_of()))[0]
    heard = {end.name: int(at) for end, at in zip(cells.sources.all, cells.heard_ns, strict=True)}
    assert heard == {"n1": NOW, "n2": NOW - 5 * SECOND, "n3": -1, "cart": -1}


def test_tables_of_ends_stay_the_same_until_numbers_change_their_meaning() -> None:
    matrix, reader = all_probed(matrix_of()), Reader()
    before = read(matrix, reader=reader)[0].targets
    assert read(matrix, reader=reader)[2].targets is before
    replan(matrix)
    assert read(matrix, reader=reader)[0].targets is not before


def test_an_empty_matrix_has_no_cells() -> None:
    matrix = Matrix(max_bytes=10**7, stale_after_ns=3 * SECOND)
    assert [len(cells) for cells in read(matrix, now_ns=10 * SECOND)][:1] == [0]


def test_a_row_that_is_laid_between_two_slices_has_its_ends_as_well() -> None:
    matrix = Matrix(max_bytes=10**8, stale_after_ns=3 * SECOND, retention_ns=300 * SECOND)
    first, *others = plans_of().items()
    matrix.replan(SNAPSHOT, dict([first, *others]))
    matrix.lay(*first)
    slices = Reader().sample_in_slices(matrix, NOW, heard={}, leaving=frozenset())
    next(slices)  # the spans are there, and no slab has been read
    for name, plan in others:
        matrix.lay(name, plan)
    sample = finished(slices)
    assert len(sample) == 4 * (3 * 2 + 2)
    assert int(sample.source.max()) < len(sample.tables.sources.all) == len(sample.heard_ns)
    assert int(sample.target.max()) < len(sample.tables.targets.all)
    assert int(sample.ask.max()) < len(sample.tables.asks)

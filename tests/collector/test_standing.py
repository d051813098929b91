"""What the collector says of itself."""

import asyncio
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from collector.discovery.snapshot import Service, Snapshot, Vantage
from collector.sessions import AgentState, AgentWord
from collector.standing import NAMES, namespaces_of, some, standing_of
from tests.collector.running import inventory, running
from tests.collector.small_cluster import SNAPSHOT
from wire.report import Health


def vantage(namespace: str, pod: str = "netmatrix-vantage-0") -> Vantage:
    return Vantage(f"{namespace}/{pod}", "n1", namespace, pod, ("10.0.0.1",))


def service(namespace: str, name: str = "web") -> Service:
    return Service(name, namespace, ("10.96.0.9",), 80)


def agent(name: str, state: AgentWord = AgentWord.REPORTING, *, unsupported: tuple[str, ...] = ()) -> AgentState:
    return AgentState(name, name, "", "netmatrix", state, 1.0, "", 1, 0, Health(unsupported=unsupported), 1)


def test_a_namespace_without_a_vantage_leaves_all_its_pairs_unmeasured() -> None:
    snapshot = Snapshot(vantages=(vantage("shop"),), services=(service("pay"), service("cart"), service("shop")))
    found = namespaces_of(snapshot, own="netmatrix")
    assert found["with_vantage"] == some(["shop"])
    assert found["unmeasured"] == {"pairs": 4, "from": some(["cart", "pay"]), "to": some(["cart", "pay", "shop"])}


def test_what_is_probed_without_being_asked_for_takes_no_part_and_neither_do_agents() -> None:
    own = Vantage("n1", "n1", "netmatrix", "agent-n1", ("10.0.0.1",))
    host = Vantage("n1@host", "n1", "netmatrix-host", "agent-n1", ("172.30.0.1",))
    snapshot = Snapshot(
        vantages=(own, host), services=(service("default", "kubernetes"), service("netmatrix", "netmatrix-echo"))
    )
    assert namespaces_of(snapshot, own="netmatrix") == namespaces_of(Snapshot(), own="netmatrix")


def test_a_namespace_that_asks_for_a_vantage_and_has_none_is_named() -> None:
    found = namespaces_of(Snapshot(vantages=(vantage("shop"),)), own="netmatrix", asking=["shop", "pay"])
    assert found["asking_without"] == some(["pay"])
    assert found["unmeasured"] == {"pairs": 1, "from": some(["pay"]), "to": some(["shop"])}


def test_with_a_vantage_in_each_namespace_nothing_is_unmeasured() -> None:
    snapshot = Snapshot(vantages=(vantage("shop"), vantage("pay")), services=(service("shop"),))
    assert namespaces_of(snapshot, own="netmatrix")["unmeasured"] == {"pairs": 0, "from": some([]), "to": some(["pay", "shop"])}


def test_agents_are_told_apart_by_what_is_known_of_them() -> None:
    agents = [
        agent("n1", unsupported=("icmp/ipv4",)),
        agent("n2", AgentWord.SILENT, unsupported=("icmp/ipv4", "icmp/ipv6")),
        agent("n3", AgentWord.NEVER),
    ]
    first, *others = SNAPSHOT.vantages
    found = standing_of(agents, replace(SNAPSHOT, vantages=(replace(first, excluded="settling"), *others)))
    assert (found["expected"], found["reporting"]["count"]) == (3, 1)
    assert (found["silent"]["names"], found["never"]["names"]) == (["n2"], ["n3"])
    assert found["excluded"]["names"] == [f"{first.name}: settling"]
    assert found["unsupported"] == {"icmp/ipv4": some(["n1"])}, "what a silent one could not do is not known now"


def test_a_node_without_an_agent_is_named_and_a_vantage_is_no_agent() -> None:
    nodes = SNAPSHOT.nodes[:2]
    own = Vantage(nodes[0].name, nodes[0].name, "netmatrix", "a", ("10.0.0.1",))
    other = Vantage("shop/v-0", nodes[1].name, "shop", "v-0", ("10.0.0.2",))
    assert standing_of([], Snapshot(nodes=nodes, vantages=(own, other)))["without"] == some([nodes[1].name])


def test_no_list_grows_with_the_cluster() -> None:
    found = some(f"n{number:04}" for number in range(5_000))
    assert (found["count"], len(found["names"])) == (5_000, NAMES)


async def test_the_page_says_what_is_in_force_and_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.app.LOOK_SECONDS", 0.05)
    text = inventory("a", "b")
    (tmp_path / "inventory.yaml").write_text(text)
    async with running(tmp_path, trustme.CA(key_type=trustme.KeyType.ECDSA)) as collector, asyncio.timeout(60):
        found = await collector.get("/api/v1/self")
        assert found["configuration"]["settings"]["plan"]["interval"] == "1s"
        assert found["discovery"]["source"] == "inventory"
        assert found["agents"]["never"]["names"] == ["a", "b"]
        assert found["plan"]["generation"] == 1
        assert found["scrape"]["age_seconds"] is None
        await collector.get("/metrics")
        (tmp_path / "other").write_text("plan: {intervall: 1s}")
        (tmp_path / "other").rename(tmp_path / "config.yaml")
        while not (found := await collector.get("/api/v1/self"))["configuration"]["refused"]:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
        assert found["configuration"]["refused"].startswith("config.yaml: plan.intervall: unknown key")
        assert found["scrape"]["age_seconds"] < 20
        keys = [line.split()[-1] for line in text.splitlines() if "key:" in line]
        assert len(keys) == 2
        assert not any(key in str(found) for key in keys)

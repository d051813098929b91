"""What the operator port answers once something was judged: what should be closed, and is, is no loss in any answer."""

import asyncio

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from msgspec import structs

from collector.api.incidents import Written
from collector.api.known import Names
from collector.api.verdicts import Verdicts
from collector.cli import main
from collector.discovery.snapshot import Node
from collector.verdict.judgement import Judgement
from collector.verdict.pictured import lossless
from tests.collector.api.test_operators import Collector, get
from tests.collector.verdict.compared import SHUT, Watched, into, with_policies


class Shut(Collector):
    """A collector of a cluster in which a policy closes the namespace pay, and it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched(with_policies(SHUT))
        self.compared = self.watched.seconds(6, into("pay"))
        self.matrix, self.clock.now = self.watched.matrix, self.watched.now_ns

    def server(self) -> TestServer:
        exists = Names(self.matrix).exists
        verdicts = Verdicts(lambda: Judgement(comparison=self.compared), Written(epoch_ns=0), exists=exists)
        return TestServer(self.app(verdicts=verdicts))


async def test_what_is_closed_as_it_should_be_is_no_loss_of_a_group_and_never_among_the_worst() -> None:
    collector = Shut()
    shut = lossless(collector.compared)
    assert shut is not None
    async with collector.server() as server, ClientSession(server.make_url("/")) as client:
        groups = (await get(client, "/api/v1/matrix?by=namespace&from=namespace/shop&to=namespace/pay"))["cells"]
        worst = (await get(client, "/api/v1/worst?k=1000"))["cells"]
    paths = [planned.path for planned in collector.watched.plans.plan("shop-n1").paths]
    expected = sum(path.target.name.startswith("pod/pay/") for path in paths)
    assert [(one["state"], one["loss"], one["closed"]) for one in groups if one["cells"]] == [("closed", None, expected)]
    assert worst
    assert not {int(cell["path"], 16) for cell in worst} & set(shut.tolist())


async def test_the_command_says_how_many_paths_are_closed_as_they_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    async with Shut().server() as server:
        await asyncio.to_thread(main, ["status", "--server", str(server.make_url("")).rstrip("/")])
    assert "closed as they should be" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "status"), [("shop", 200), ("zone/z1", 200), ("n99", 200), ("n98", 404)])
async def test_why_of_what_exists_and_was_not_judged_is_empty_and_what_does_not_exist_is_404(name: str, status: int) -> None:
    collector = Shut()
    snapshot = collector.watched.snapshot
    collector.matrix.exclude(structs.replace(snapshot, nodes=(*snapshot.nodes, Node("n99", "z1"))))
    async with collector.server() as server, ClientSession(server.make_url("/")) as client:
        answer = await get(client, f"/api/v1/why?from={name}&to=n2", status=status)
        assert bool(answer.get("paths")) == (name in {"shop", "zone/z1"})
        await get(client, f"/api/v1/verdicts?to={name}", status=status)

"""What should be closed, and is, is no loss in any answer of the operator port."""

import asyncio

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from collector.api.incidents import Written
from collector.api.verdicts import Verdicts
from collector.cli import main
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
        return TestServer(self.app(verdicts=Verdicts(lambda: Judgement(comparison=self.compared), Written(epoch_ns=0))))


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

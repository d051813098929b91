"""What should be closed, and is, is no loss in any answer of the operator port."""

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from collector.api.incidents import Written
from collector.api.verdicts import Verdicts
from collector.verdict.judgement import Judgement
from collector.verdict.pictured import lossless
from tests.collector.api.test_operators import Collector, get
from tests.collector.verdict.compared import SHUT, Watched, into, with_policies


async def test_what_is_closed_as_it_should_be_is_no_loss_of_a_group_and_never_among_the_worst() -> None:
    watched = Watched(with_policies(SHUT))
    compared = watched.seconds(6, into("pay"))
    collector = Collector()
    collector.matrix, collector.clock.now = watched.matrix, watched.now_ns
    verdicts = Verdicts(lambda: Judgement(comparison=compared), Written(epoch_ns=0))
    shut = lossless(compared)
    assert shut is not None
    async with TestServer(collector.app(verdicts=verdicts)) as server, ClientSession(server.make_url("/")) as client:
        groups = (await get(client, "/api/v1/matrix?by=namespace&from=namespace/shop&to=namespace/pay"))["cells"]
        assert [(one["state"], one["loss"], one["closed"]) for one in groups if one["cells"]] == [
            ("closed", None, one_way(watched))
        ]
        worst = (await get(client, "/api/v1/worst?k=1000"))["cells"]
    assert worst
    assert not {int(cell["path"], 16) for cell in worst} & set(shut.tolist())


def one_way(watched: Watched) -> int:
    """Paths from shop into pay."""
    return sum(planned.path.target.name.startswith("pod/pay/") for planned in watched.plans.plan("shop-n1").paths)

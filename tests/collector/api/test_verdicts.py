"""What is expected, as the API tells it."""

import json

from aiohttp.test_utils import make_mocked_request

from collector.api.incidents import Written
from collector.api.verdicts import Verdicts
from collector.verdict.judgement import Judgement
from tests.collector.incidents import JUDGED


async def test_canaries_are_told_by_node_and_test_and_there_are_none_before_anything_is_judged() -> None:
    canaries = {("n2", "deny"): False, ("n1", "deny"): True, ("n1", "allow"): True}
    for judgement, told in (
        (Judgement(), []),
        (
            JUDGED._replace(canaries=canaries),
            [
                {"node": "n1", "test": "allow", "ok": True},
                {"node": "n1", "test": "deny", "ok": True},
                {"node": "n2", "test": "deny", "ok": False},
            ],
        ),
    ):
        verdicts = Verdicts(lambda judgement=judgement: judgement, Written(epoch_ns=0))  # type: ignore[misc]
        answer = await verdicts.expectations(make_mocked_request("GET", "/api/v1/expectations"))
        assert isinstance(answer.text, str)
        assert json.loads(answer.text) == {"version": 1, "expectations": [], "canaries": told}

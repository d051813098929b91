from collections.abc import AsyncIterator

import pytest
import trustme

from collector.api import agents
from tests.collector.api.agent_port import Served, serving


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(autouse=True)
def _little_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "LINGER_SECONDS", 0.1)


@pytest.fixture
async def served(authority: trustme.CA) -> AsyncIterator[Served]:
    async with serving(authority) as one:
        yield one

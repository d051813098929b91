"""What `operators.sign_in` of the configuration changes."""

from pathlib import Path

import pytest
import trustme
from aiohttp import ClientSession

from tests.collector.running import inventory, running

KEY = "an-operators-key-0123456789"


@pytest.mark.parametrize(("mode", "status"), [("off", 200), ("actions", 200), ("all", 401)])
async def test_reading_needs_a_token_where_the_configuration_says_so(tmp_path: Path, mode: str, status: int) -> None:
    (tmp_path / "inventory.yaml").write_text(inventory("a"))
    (tmp_path / "keys").write_text(f"{KEY}\n")
    operators = {"sign_in": mode, "key_file": str(tmp_path / "keys")}
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    async with running(tmp_path, authority, operators=operators) as collector, ClientSession(collector.operators) as client:
        for headers, expected in (({}, status), ({"Authorization": f"Bearer {KEY}"}, 200)):
            async with client.get("/api/v1/self", headers=headers) as answer:
                assert answer.status == expected
        assert await collector.get("/api/v1/signin") == {"version": 1, "sign_in": mode, "tokens": "keys"}

"""The pod that only answers."""

import asyncio
import socket

import pytest

from agent import canary
from agent.__main__ import main
from agent.canary import CONNECTIONS, Empty


async def test_it_answers_whoever_connects_whatever_he_asks_for() -> None:
    server = Empty(0, max_connections=CONNECTIONS)
    server.open()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /anything HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\nok\n")
        writer.close()
    finally:
        server.close()


def test_a_port_that_is_taken_is_said_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(canary, "CLOSED_PORT", port)
        monkeypatch.setattr(canary, "OPEN_PORT", 0)
        assert main(["canary"]) == 1
    assert f"port {port} cannot be used" in capsys.readouterr().err

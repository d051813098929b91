"""The connections of the load generator, on loopback."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.load_connection import Connection, Loop


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """Answers the first request of one connection at once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            accepted, _ = listening.accept()
            with accepted:
                accepted.recv(1000)
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                accepted.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        host, port = listening.getsockname()
        yield host, port
        thread.join()


def test_an_answer_that_came_while_the_loop_stood_still_is_no_timeout(server: tuple[str, int]) -> None:
    loop, said = Loop(), list[str]()
    with closing(Connection(loop, server, None)) as connection:
        connection.ask(b"GET / HTTP/1.1\r\n\r\n", lambda status, *_: said.append(f"{status}"), said.append, seconds=0.3)
        loop.at(loop.now, lambda: time.sleep(0.5))
        loop.run(time.monotonic() + 5, ended=lambda: bool(said))
    assert said == ["200"]


def test_nobody_who_answers_is_a_timeout() -> None:
    loop, said = Loop(), list[str]()
    with socket.create_server(("127.0.0.1", 0)) as silent, closing(Connection(loop, silent.getsockname(), None)) as connection:
        connection.ask(b"GET / HTTP/1.1\r\n\r\n", lambda *_: said.append("answered"), said.append, seconds=0.1)
        loop.run(time.monotonic() + 5, ended=lambda: bool(said))
    assert said == ["timeout"]

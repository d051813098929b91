import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent import once
from agent.probes.prober import Context
from agent.responders.echo import EchoServer
from agent.responders.reflector import Reflector
from agent.told import SENTENCES
from tests.agent.ports import free_port
from tests.agent.probes.name_server import NameServer, Reply, answered, healthy
from wire.outcome import Outcome
from wire.plan import GroupKey


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def at(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def answer_one(listener: socket.socket, content: bytes) -> threading.Thread:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(content)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = once.main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_an_answered_probe_tells_its_latency_and_exits_with_0(
    capsys: pytest.CaptureFixture[str], listener: socket.socket
) -> None:
    status, known = asked(capsys, f"tcp://{at(listener)}")
    assert status == 0
    assert known.pop("latency_us") > 0
    assert known == {
        "url": f"tcp://{at(listener)}",
        "kind": "tcp",
        "answered": True,
        "address": "127.0.0.1",
        "family": "ipv4",
        "timed": "tcp_info",
    }


def test_http_tells_its_phases_and_status(capsys: pytest.CaptureFixture[str], listener: socket.socket) -> None:
    thread = answer_one(listener, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    status, known = asked(capsys, f"http://{at(listener)}/x", "--timeout", "10s")
    thread.join()
    assert (status, known["status"]) == (0, "404")
    assert set(known["phases_us"]) == {"connect", "first_byte", "transfer"}
    assert sum(known["phases_us"].values()) == pytest.approx(known["latency_us"])


def test_a_name_is_resolved_in_the_family_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], listener: socket.socket
) -> None:
    url = f"tcp://localhost:{listener.getsockname()[1]}"
    assert asked(capsys, url, "--ipv4")[1]["address"] == "127.0.0.1"
    status, known = asked(capsys, url, "--ipv6")
    assert (status, known["address"], known["outcome"]) == (1, "::1", "refused")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("tcp://169.254.169.254:80", "forbidden"),
        ("http://[::ffff:169.254.169.254]/", "forbidden"),
        ("udp://127.0.0.1", "unsupported"),
        ("tcp://name.example.test:80", "dns_error"),
    ],
)
def test_a_failed_probe_has_a_word_with_a_sentence_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], url: str, word: str
) -> None:
    status, known = asked(capsys, url, "--resolv-conf", "/nonexistent")
    assert (status, known["answered"], known["outcome"]) == (1, False, word)
    assert known["because"].endswith(".")


def test_silence_is_a_timeout_after_the_waiting_time(capsys: pytest.CaptureFixture[str], listener: socket.socket) -> None:
    status, known = asked(capsys, f"http://{at(listener)}", "--timeout", "50ms")
    assert (status, known["outcome"], known["because"]) == (1, "timeout", "No answer came within 0.05 s.")


def test_people_get_the_same_in_words(capsys: pytest.CaptureFixture[str], listener: socket.socket) -> None:
    thread = answer_one(listener, b"HTTP/1.1 503 Sad\r\nContent-Length: 0\r\n\r\n")
    assert once.main([f"http://{at(listener)}", "--timeout", "10s"]) == 1
    thread.join()
    first, *more = capsys.readouterr().out.splitlines()
    assert first == f"http://{at(listener)}: http_status. {SENTENCES[Outcome.HTTP_STATUS]}"
    assert more == ["  address      127.0.0.1 (ipv4)", "  status       503"]


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    """One that takes its turns on a thread of its own."""
    with NameServer() as server:
        ended = threading.Event()

        def serve() -> None:
            while not ended.wait(0.001):
                server.turn()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server
        ended.set()
        thread.join()


def test_a_name_server_tells_its_code_and_answers_and_how_it_was_asked(
    capsys: pytest.CaptureFixture[str], name_server: NameServer
) -> None:
    name_server.udp = lambda query: [answered(query, truncated=True)]
    status, known = asked(capsys, f"dns://127.0.0.1:{name_server.port}/www.example.test?type=both", "--timeout", "10s")
    assert (status, known["kind"], known["status"]) == (0, "dns", "NOERROR")
    assert known["answer"] == "10.0.0.1 2001:db8::1"
    assert known["asked_over"] == "udp, tcp"
    assert set(known["phases_us"]) == {"connect"}
    assert known["latency_us"] > known["phases_us"]["connect"]


@pytest.mark.parametrize(
    ("reply", "word", "because"),
    [
        (lambda query: [answered(query, code=3)], "dns_nxdomain", "There is no such name."),
        (lambda query: [answered(query, code=5)], "dns_error", "The name server answered REFUSED."),
        (healthy, "dns_error", "The answer does not hold 10.9.9.9."),
        (lambda query: [healthy(query)[0][:-3]], "dns_error", "The name server's answer cannot be read."),
    ],
)
def test_a_name_server_that_fails_is_told_apart_in_a_sentence(
    capsys: pytest.CaptureFixture[str], name_server: NameServer, reply: Reply, word: str, because: str
) -> None:
    name_server.udp = reply
    status, known = asked(capsys, f"dns://127.0.0.1:{name_server.port}/www.example.test?contains=10.9.9.9", "--timeout", "10s")
    assert (status, known["outcome"], known["because"]) == (1, word, because)


def test_survive_32_half_an_answer_has_a_hint(capsys: pytest.CaptureFixture[str], name_server: NameServer) -> None:
    name_server.udp = lambda query: [] if query[-14] == 28 else healthy(query)
    url = f"dns://127.0.0.1:{name_server.port}/www.example.test?type=both"
    status, known = asked(capsys, url, "--timeout", "200ms")
    assert (status, known["outcome"], known["answer"]) == (1, "dns_timeout", "A only: 10.0.0.1")
    assert "conntrack" in known["because"]


def test_silence_of_a_name_server_has_its_word(capsys: pytest.CaptureFixture[str], name_server: NameServer) -> None:
    name_server.udp = lambda _: []
    status, known = asked(capsys, f"dns://127.0.0.1:{name_server.port}/www.example.test", "--timeout", "50ms")
    assert (status, known["outcome"], known["because"]) == (1, "dns_timeout", "No answer came within 0.05 s.")


def test_survive_54_a_link_local_address_is_asked_only_where_it_is_our_resolver(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 10.0.0.1\n")
    arguments = ["dns://169.254.20.10/www.example.test", "--timeout", "1ms", "--resolv-conf", str(conf)]
    assert asked(capsys, *arguments)[1]["outcome"] == "forbidden"
    conf.write_text("nameserver 169.254.20.10\n")
    assert asked(capsys, *arguments)[1]["outcome"] != "forbidden"


def test_a_packet_has_the_size_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "icmp://127.0.0.1", "--size", "1500", "--timeout", "10s")[0] == 0
    status, known = asked(capsys, "icmp://127.0.0.1", "--size", "20")
    assert (status, known["outcome"]) == (1, "unsupported")
    assert known["because"] == "A packet of icmp over ipv4 has 28 to 9216 bytes, and not 20."


def test_every_word_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Outcome)


def test_a_count_is_that_many_probes(
    capsys: pytest.CaptureFixture[str], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "INTERVAL_SECONDS", 0.0)
    assert once.main([f"tcp://{at(listener)}", "--count", "3", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["10.0.0.1"],
        ["ftp://10.0.0.1"],
        ["tcp://10.0.0.1"],
        ["tcp://10.0.0.1:0"],
        ["tcp://10.0.0.1:99999"],
        ["tcp://:80"],
        ["icmp://10.0.0.1:80"],
        ["icmp://10.0.0.1/x"],
        ["http://[10.0.0.1/"],
        ["http://10.0.0.1/ä"],
        ["icmp://10.0.0.1", "--count", "0"],
        ["icmp://10.0.0.1", "--size", "9217"],
        ["tcp://10.0.0.1:1", "--size", "1500"],
        ["icmp://10.0.0.1", "--timeout", "1h"],
        ["icmp://10.0.0.1", "--ipv4", "--ipv6"],
        ["icmp://10.0.0.1", "--key-file", "/nonexistent"],
        ["icmp://10.0.0.1", "--uid", "<script>"],
        ["icmp://10.0.0.1", "--unknown"],
    ],
)
def test_a_question_without_sense_is_refused_with_2_and_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert once.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(("agent once: ", "usage: agent once"))


def test_survive_58_neither_credentials_nor_a_key_are_ever_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("1:5ec4e7")
    assert once.main(["ftp://user:5ec4e7@10.0.0.1/"]) == 2
    assert once.main(["udp://10.0.0.1", "--key-file", str(tmp_path / "key")]) == 2
    assert "5ec4e7" not in capsys.readouterr().err


def test_a_key_file_holds_an_epoch_and_a_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("7:" + "0f" * 16 + "\n")
    key = once.key_in(tmp_path / "key")
    assert (key.epoch, key.key) == (7, b"\x0f" * 16)


KEY = GroupKey(epoch=7, key=b"\x0f" * 16)


@dataclass(frozen=True)
class Here:
    node: str = "n1"
    namespace: str = "netmatrix"
    pod: str = "agent-n1"


@pytest.fixture
def responder() -> Iterator[int]:
    """The port of a real reflector and echo in a thread."""
    context = Context(uid="uid-1", keys=(KEY,))
    ports: list[int] = []
    ready, done = threading.Event(), asyncio.Event()

    async def respond() -> None:
        loops.append(asyncio.get_running_loop())
        echo = EchoServer(context, Here(), free_port())
        echo.open()
        reflector = Reflector(context, echo.port)
        reflector.open()
        ports.append(echo.port)
        ready.set()
        await done.wait()
        echo.close()
        reflector.close()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: asyncio.run(respond()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield ports[0]
    loops[0].call_soon_threadsafe(done.set)
    thread.join(10)


@pytest.mark.parametrize("url", ["udp://127.0.0.1:{}", "http://127.0.0.1:{}/echo", "http://[::1]:{}/echo"])
def test_a_colleague_with_the_key_is_told_who_answers_and_which_source_it_saw(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, responder: int, url: str
) -> None:
    (tmp_path / "key").write_text("7:" + "0f" * 16)
    options = [url.format(responder), "--timeout", "10s", "--key-file", str(tmp_path / "key"), "--uid"]
    status, known = asked(capsys, *options, "uid-1")
    assert (status, known["confirmed"], known["source"]) == (0, True, known["address"])
    status, known = asked(capsys, *options, "uid-2")
    assert (status, known["outcome"], known["peer_uid"]) == (1, "wrong_peer", "uid-1")


def test_it_is_a_command_of_the_agent(listener: socket.socket) -> None:
    command = [sys.executable, "-m", "agent", "once", f"tcp://{at(listener)}"]
    shown = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(once.__file__).parents[1], env=os.environ
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert " (timed by tcp_info)\n" in shown.stdout

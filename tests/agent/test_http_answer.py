import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.http_answer import (
    MAX_BODY_BYTES,
    MAX_CHUNKS,
    MAX_HEAD_BYTES,
    WIRE_SHARE,
    Answer,
    MalformedError,
)


def read(content: bytes, *, to_head: bool = False, piece: int = 0) -> Answer:
    answer = Answer(to_head=to_head)
    for start in range(0, len(content), piece or len(content) or 1):
        answer.feed(content[start : start + (piece or len(content))])
    return answer


ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "bare newlines": (b"HTTP/1.0 404 Not Found\nContent-Length:5\n\nhello", 404, b"hello"),
    "more than it said": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world", 200, b"hello"),
    "same length twice": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello"),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, b"hello"),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n", 200, b"hello"),
    "chunks beat length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        200,
        b"hello",
    ),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
}


@pytest.mark.parametrize("piece", [0, 1, 3])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_the_same_in_pieces_of_any_size(name: str, piece: int) -> None:
    content, status, body = ANSWERS[name]
    answer = read(content, piece=piece)
    assert (answer.complete, answer.status, bytes(answer.body)) == (True, status, body)


def test_without_a_length_the_body_lasts_until_the_end() -> None:
    answer = read(b"HTTP/1.0 200 OK\r\n\r\nhello", piece=2)
    assert not answer.complete
    answer.end()
    assert (answer.complete, bytes(answer.body)) == (True, b"hello")


def test_an_answer_to_head_has_no_body_whatever_its_length() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", to_head=True).complete


def test_names_of_headers_are_in_lower_case_and_repeated_ones_joined() -> None:
    answer = read(b"HTTP/1.1 204 X\r\nSet-Cookie: a \r\nSET-COOKIE:\tb\r\n\r\n")
    assert answer.headers == {b"set-cookie": b"a,b"}


@pytest.mark.parametrize("kind", ["Content-Length: 99999999999", "Transfer-Encoding: chunked", "X: y"])
def test_survive_44_an_endless_body_is_cut_at_its_limit(kind: str) -> None:
    answer = read(f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n".encode())
    fed = 0
    while not answer.complete:
        answer.feed(b"400\r\n" + b"x" * 0x400 + b"\r\n" if "chunked" in kind else b"x" * 1024)
        fed += 1
        assert fed < 100
    assert len(answer.body) == MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("content", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", False),
    ],
)
def test_a_connection_carries_another_request_after_an_answer_that_ended_by_itself(content: bytes, reusable: bool) -> None:
    assert read(content).reusable is reusable


@pytest.mark.parametrize(("length", "cut"), [(4, False), (5, True)])
@pytest.mark.parametrize("framing", ["Content-Length: {}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n"])
def test_a_body_longer_than_its_cap_says_that_it_is_cut(framing: str, length: int, cut: bool) -> None:
    answer = Answer(most=4)
    content = f"HTTP/1.1 200 OK\r\n{framing.format(length)}{'x' * length}"
    answer.feed(content.encode() + (b"\r\n0\r\n\r\n" if "chunked" in framing else b""))
    assert (bytes(answer.body), answer.complete, answer.cut, answer.reusable) == (b"xxxx", True, cut, not cut)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>HTTP/0.9 sends its page</html>",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 300,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
)
def test_survive_44_what_is_not_http_1_is_malformed(content: bytes) -> None:
    for piece in (0, 1):
        with pytest.raises(MalformedError):
            read(content, piece=piece)


@pytest.mark.parametrize("line", [b"X: " + b"y" * 1000 + b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_survive_44_headers_without_end_are_malformed_at_their_limit(line: bytes) -> None:
    answer = read(b"HTTP/1.1 100 Continue\r\n" + (b"" if line.startswith(b"X") else b"\r\n"))
    for _ in range(MAX_HEAD_BYTES // len(line) - 2):
        answer.feed(line)
    with pytest.raises(MalformedError):
        answer.feed(line * 3)


@pytest.mark.parametrize("piece", [16384, 1460, 7])
def test_survive_44_chunks_of_one_byte_are_cut_at_the_number_that_is_worth_the_work(piece: int) -> None:
    answer = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (MAX_CHUNKS + 9), piece=piece)
    assert answer.complete
    assert answer.body == b"x" * MAX_CHUNKS


def test_survive_44_a_body_that_is_nearly_all_framing_is_cut_by_what_came_over_the_wire() -> None:
    answer = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"20;" + b"e" * 240 + b"\r\n" + b"x" * 32 + b"\r\n"
    fed = 0
    while not answer.complete:
        answer.feed(chunk)
        fed += len(chunk)
    assert fed < WIRE_SHARE * MAX_BODY_BYTES + len(chunk)


def test_a_trailer_without_end_is_malformed_at_its_limit() -> None:
    answer = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    line = b"X: " + b"y" * 96 + b"\n"
    answer.feed(line * (MAX_HEAD_BYTES // len(line)))
    with pytest.raises(MalformedError):
        answer.feed(line)


@pytest.mark.parametrize(
    "content",
    [b"", b"HTTP/1.1 200 OK\r\n", ANSWERS["length"][0][:-1], ANSWERS["chunked"][0][:-2], ANSWERS["chunked"][0][:-12]],
)
def test_an_answer_cut_short_is_malformed(content: bytes) -> None:
    answer = read(content)
    with pytest.raises(MalformedError):
        answer.end()


SNIPPETS = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"3\r\n"]
)


@settings(max_examples=60)
@given(st.lists(SNIPPETS | st.binary(max_size=20), max_size=12))
def test_any_bytes_are_an_answer_or_malformed_and_the_same_in_any_pieces(pieces: list[bytes]) -> None:
    def result(pieces: list[bytes]) -> tuple[bool, int, bytes] | None:
        answer = Answer()
        try:
            for piece in pieces:
                answer.feed(piece)
        except MalformedError:
            return None
        return answer.complete, answer.status, bytes(answer.body)

    content = b"".join(pieces)
    assert result(pieces) == result([content]) == result([content[at : at + 1] for at in range(len(content))])

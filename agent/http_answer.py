"""An HTTP/1 answer, read as it arrives (RFC 9112), with a bound on everything.

In: the bytes of one connection, in pieces of any size. Out: status, headers and the start of the body, by default 64 KiB.
Nothing is decompressed, followed or believed beyond that; what is not HTTP/1.0 or HTTP/1.1 is a MalformedError. Pure: it
never waits.
"""

import re
from enum import Enum, auto

MAX_HEAD_BYTES = 16 * 1024
"""Longest status line with all headers, of all interim answers together."""
MAX_BODY_BYTES = 64 * 1024
"""The body is complete when this much of it is here: an endless one is cut, not waited for."""
WIRE_SHARE = 2
"""The body is complete as well when so many times its cap came in all, with what is around its chunks."""
MAX_CHUNKS = 4096
"""And after so many chunks: the work for each is the same, be it one byte."""
_MAX_CHUNK_LINE = 256

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\x00\n]*)?")
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\n]*?)[ \t]*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\n]*)?")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL = 200
_BODILESS = frozenset({204, 304})


class MalformedError(ValueError):
    """What came is not an HTTP/1 answer, or is one that was cut short. Quotes nothing of it."""


class _Body(Enum):
    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_END = auto()


class _Expecting(Enum):
    SIZE = auto()
    CONTENT = auto()
    END_OF_CONTENT = auto()
    TRAILER = auto()
    NOTHING = auto()


class _Chunks:
    """The content of a chunked body (RFC 9112 section 7.1), with the chunks and the trailer taken away."""

    def __init__(self) -> None:
        self.expecting = _Expecting.SIZE
        self.count = 0
        self._left = 0
        self._trailer_bytes = 0

    def take(self, pending: bytearray) -> bytes:
        """Remove all that can be understood from `pending`, and return the content in it; raises MalformedError."""
        content = bytearray()
        while self.expecting is not _Expecting.NOTHING and self.count < MAX_CHUNKS:
            if self.expecting is _Expecting.CONTENT:
                taken = pending[: self._left]
                del pending[: self._left]
                content += taken
                self._left -= len(taken)
                if self._left:
                    break
                self.expecting = _Expecting.END_OF_CONTENT
                self.count += 1
            end = pending.find(b"\n", 0, _MAX_CHUNK_LINE + 1)
            if end < 0 and len(pending) > _MAX_CHUNK_LINE:
                raise MalformedError(f"a chunk line longer than {_MAX_CHUNK_LINE} bytes")
            if end < 0:
                break
            line = bytes(pending[:end])
            del pending[: end + 1]
            self.expecting = self._after(line.removesuffix(b"\r"))
        return bytes(content)

    def _after(self, line: bytes) -> _Expecting:
        if self.expecting is _Expecting.END_OF_CONTENT:
            if line:
                raise MalformedError("a chunk longer than it said")
            return _Expecting.SIZE
        if self.expecting is _Expecting.TRAILER:
            self._trailer_bytes += len(line) + 1
            if self._trailer_bytes > MAX_HEAD_BYTES:
                raise MalformedError(f"a trailer longer than {MAX_HEAD_BYTES} bytes")
            return _Expecting.TRAILER if line else _Expecting.NOTHING
        size = _CHUNK_LINE.fullmatch(line)
        if size is None:
            raise MalformedError("a chunk without its length")
        self._left = int(size[1], 16)
        return _Expecting.CONTENT if self._left else _Expecting.TRAILER


class Answer:
    """One answer. `complete` when no more bytes are wanted; `body` holds at most `most` bytes."""

    def __init__(self, *, to_head: bool = False, most: int = MAX_BODY_BYTES) -> None:
        """`to_head`: it answers a HEAD request, so that its length is of a body that does not come."""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """Names in lower case; the values of a repeated name are joined with a comma."""
        self.body = bytearray()
        self.complete = False
        self.cut = False
        """A cap made it complete: there may be more of it."""
        self._to_head = to_head
        self._most = most
        self._persists = False
        self._pending = bytearray()
        self._searched = 0
        self._head_bytes = 0
        self._kind: _Body | None = None
        self._left = 0
        self._wire_bytes = 0
        self._chunks = _Chunks()

    def feed(self, content: bytes) -> None:
        """Take in what arrived; raises MalformedError. What follows a complete answer is ignored."""
        if self.complete:
            return
        self._pending += content
        while self._kind is None:
            head = self._next_head()
            if head is None:
                return
            self._take_head(head)
        self._take_body()

    def end(self) -> None:
        """The other side has closed the connection; raises MalformedError where that cut the answer short."""
        if self.complete:
            return
        if self._kind is not _Body.UNTIL_END:
            raise MalformedError("closed before the answer was complete")
        self.complete = True

    @property
    def reusable(self) -> bool:
        """Whether its connection can carry another request (RFC 9112 section 9.3): it ended by itself, and nothing follows."""
        closing = b"close" in map(bytes.strip, self.headers.get(b"connection", b"").lower().split(b","))
        ended = self.complete and not self.cut and self._kind is not _Body.UNTIL_END
        return ended and self._persists and not closing and not self._pending

    def _next_head(self) -> bytes | None:
        # What cannot become a status line is known to be none after a few bytes; HTTP/0.9 sends its page at once.
        if not b"HTTP/1.".startswith(bytes(self._pending[:7])):
            raise MalformedError("no HTTP/1 status line")
        end = _END_OF_HEAD.search(self._pending, self._searched)
        if self._head_bytes + (end.end() if end else len(self._pending)) > MAX_HEAD_BYTES:
            raise MalformedError(f"headers longer than {MAX_HEAD_BYTES} bytes")
        if end is None:
            self._searched = max(0, len(self._pending) - 3)
            return None
        head = bytes(self._pending[: end.start()])
        self._head_bytes += end.end()
        del self._pending[: end.end()]
        self._searched = 0
        return head

    def _take_head(self, head: bytes) -> None:
        lines = re.split(rb"\r?\n", head)
        status_line = _STATUS_LINE.fullmatch(lines[0])
        if status_line is None:
            raise MalformedError("no HTTP/1 status line")
        self.status, self._persists = int(status_line[2]), status_line[1] == b"1"
        if self.status == _SWITCHING_PROTOCOLS:
            raise MalformedError("switched protocols unasked")
        if self.status < _FIRST_FINAL:
            return
        for line in lines[1:]:
            match = _HEADER_LINE.fullmatch(line)
            if match is None:
                raise MalformedError("a header line without a name")
            name = match[1].lower()
            self.headers[name] = self.headers[name] + b"," + match[2] if name in self.headers else match[2]
        self._kind = self._body_kind()

    def _body_kind(self) -> _Body:
        """RFC 9112 section 6.3."""
        if self._to_head or self.status in _BODILESS:
            return _Body.NONE
        if b"transfer-encoding" in self.headers:
            encodings = self.headers[b"transfer-encoding"].lower().split(b",")
            return _Body.CHUNKED if encodings[-1].strip() == b"chunked" else _Body.UNTIL_END
        if b"content-length" not in self.headers:
            return _Body.UNTIL_END
        lengths = {length.strip() for length in self.headers[b"content-length"].split(b",")}
        length = lengths.pop()
        if lengths or not _LENGTH.fullmatch(length):
            raise MalformedError("no single content length")
        self._left = int(length)
        return _Body.LENGTH if self._left else _Body.NONE

    def _take_body(self) -> None:
        self._wire_bytes += len(self._pending)
        if self._kind is _Body.CHUNKED:
            content = self._chunks.take(self._pending)
            self._wire_bytes -= len(self._pending)
            ended = self._chunks.expecting is _Expecting.NOTHING
        elif self._kind is _Body.UNTIL_END:
            content, ended = bytes(self._pending), False
            self._pending.clear()
        else:
            content = bytes(self._pending[: self._left])
            del self._pending[: self._left]
            self._left -= len(content)
            ended = not self._left
        room = self._most - len(self.body)
        self.body += content[:room]
        is_full = len(content) >= room or self._wire_bytes >= WIRE_SHARE * self._most or self._chunks.count >= MAX_CHUNKS
        self.cut = len(content) > room or (is_full and not ended)
        self.complete = ended or self.cut

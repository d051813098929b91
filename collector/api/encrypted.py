"""TLS for thousands of connections that mostly wait: 20 KiB each, where asyncio's own has a buffer of 256 KiB for every one.

In: what the wire carries, encrypted. Out: what the protocol above sees, and back. asyncio does sockets and buffers below,
OpenSSL does TLS in memory in between; nothing here waits, and deadlines are the listener's.
"""

import asyncio
from contextlib import suppress
from ssl import MemoryBIO, SSLContext, SSLError, SSLWantReadError, SSLZeroReturnError
from typing import Any

_IN, _OUT = 2048, 1024
"""OpenSSL's memory buffers grow by a third more than is put into them at once, and never shrink: with 4 KiB both ways a
connection held 6 KiB more."""
_NOBODY = asyncio.Protocol()
_RECORD = 16_384
"""Longest plaintext of one record (RFC 8446 section 5.1)."""


class Encrypted(asyncio.Transport, asyncio.Protocol):
    """A protocol for the transport below, a transport for the protocol above, which hears of nothing before the handshake."""

    def __init__(self, context: SSLContext, above: asyncio.Protocol) -> None:
        super().__init__()
        self._above = above
        self._incoming, self._outgoing = MemoryBIO(), MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._wire: asyncio.Transport | None = None
        self._open = False
        """Between the end of the handshake and the end of the connection."""

    # As a protocol, to the transport below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a connection; they speak first."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type: streams have no other
        self._wire = transport

    def connection_lost(self, exc: BaseException | None) -> None:
        """There is none any more. What is above and below is let go: none of it waits for a look for cycles to be freed."""
        above, self._above = self._above, _NOBODY
        self._open, self._wire = False, None
        above.connection_lost(exc if isinstance(exc, Exception) else None)

    def data_received(self, data: bytes) -> None:
        """Decrypt and hand up."""
        view = memoryview(data)
        try:
            for start in range(0, len(data), _IN):
                self._incoming.write(view[start : start + _IN])
                self._advance()
        except SSLError:  # not TLS, a version or cipher that we do not speak, a forged record: theirs to mend
            self._flush()  # the alert that says so
            self._end()
        else:
            self._flush()

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        if self._open:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """It takes more again."""
        if self._open:
            self._above.resume_writing()

    def _advance(self) -> None:
        """As far as what has come allows. Raises SSLError where it is not what it should be."""
        try:
            if not self._open:
                self._tls.do_handshake()
                self._open = True
                self._above.connection_made(self)
            while self._incoming.pending or self._tls.pending():
                plain = self._tls.read(_RECORD)
                if not plain:
                    self._end()
                    return
                self._above.data_received(plain)
        except SSLWantReadError:
            pass
        except SSLZeroReturnError:  # they have said all they had to say
            self._end()

    def _flush(self) -> None:
        if self._outgoing.pending and self._wire is not None:
            self._wire.write(self._outgoing.read())

    def _end(self) -> None:
        if self._wire is not None:
            self._wire.close()

    # As a transport, to the protocol above.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; what comes after the end is lost, as on any transport."""
        if not self._open or self.is_closing():
            return
        view, records = memoryview(data), []
        for start in range(0, len(view), _OUT):
            self._tls.write(view[start : start + _OUT])
            records.append(self._outgoing.read())
        if self._wire is not None:
            self._wire.write(b"".join(records))

    def close(self) -> None:
        """Say that this is the end, and end when all is sent."""
        if self._open and not self.is_closing():
            with suppress(SSLError):  # they have not said the same yet, and need not
                self._tls.unwrap()
            self._flush()
        self._end()

    def abort(self) -> None:
        """End at once."""
        if self._wire is not None:
            self._wire.abort()

    def is_closing(self) -> bool:
        """Whether it is at its end, or near."""
        return self._wire is None or self._wire.is_closing()

    def can_write_eof(self) -> bool:
        """TLS has no half that could be closed."""
        return False

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._wire.get_write_buffer_size() if self._wire is not None else 0

    def pause_reading(self) -> None:
        """Take nothing more from the wire; what came before is still handed up."""
        if self._wire is not None:
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Take more."""
        if self._wire is not None:
            self._wire.resume_reading()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol above."""
        return self._above

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's own type
        """What there is to know: of TLS here, of the socket below."""
        if name == "ssl_object":
            return self._tls
        return self._wire.get_extra_info(name, default) if self._wire is not None else default

"""A server that gets stuck in the middle of an exchange over TLS."""

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress


def get_stuck(listener: socket.socket, context: ssl.SSLContext, words: bytes, heard: Callable[[], object]) -> None:
    """Take one request, say these words, and from then on nothing, also not of TLS; return when the connection has ended.

    Raises TimeoutError where it does not within 20 s. To be run in a thread; calls `heard` when it has said its words.
    """
    connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True) as secured, socket.socket(fileno=os.dup(secured.fileno())) as bare:
        secured.recv(4096)
        secured.sendall(words)
        heard()
        bare.settimeout(20.0)
        with suppress(ConnectionResetError):
            while bare.recv(4096):
                pass

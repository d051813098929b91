"""A server for connections of no importance: it accepts, answers one HTTP request in a few bytes, and closes.

Run as `python -m bench.stream_server PORT tcp|http`. Its CPU time is nobody's, so all that matters is that nobody waits for it.
"""

import contextlib
import select
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_BACKLOG = 4096


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    port, mode = arguments
    listener = socket.create_server(("", int(port)), backlog=_BACKLOG)
    listener.settimeout(0)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    open_connections: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != listener.fileno():
                with contextlib.suppress(OSError), open_connections.pop(descriptor) as connection:
                    if connection.recv(4096):
                        connection.send(ANSWER)
                continue
            for connection in _accepted(listener):
                if mode == "http":
                    connection.settimeout(0)
                    open_connections[connection.fileno()] = connection
                    poll.register(connection, select.EPOLLIN)
                else:
                    connection.close()


def _accepted(listener: socket.socket) -> list[socket.socket]:
    accepted = []
    with contextlib.suppress(BlockingIOError):
        while True:
            accepted.append(listener.accept()[0])
    return accepted


if __name__ == "__main__":
    main(sys.argv[1:])

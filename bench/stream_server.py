"""A server for connections of no importance: it accepts, answers HTTP requests in a few bytes, and closes where it is asked to.

Run as `python -m bench.stream_server PORT tcp|http`. Its CPU time is nobody's, so all that matters is that nobody waits for it.
"""

import contextlib
import select
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
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
                if _is_over(open_connections[descriptor]):
                    open_connections.pop(descriptor).close()
                continue
            for connection in _accepted(listener):
                if mode == "http":
                    connection.settimeout(0)
                    open_connections[connection.fileno()] = connection
                    poll.register(connection, select.EPOLLIN)
                else:
                    connection.close()


def _is_over(connection: socket.socket) -> bool:
    """Answer what has come; whether the connection is to be closed."""
    with contextlib.suppress(OSError):
        request = connection.recv(4096)
        if request:
            connection.send(ANSWER)
            return b"connection: close" in request.lower()
    return True


def _accepted(listener: socket.socket) -> list[socket.socket]:
    accepted = []
    with contextlib.suppress(BlockingIOError):
        while True:
            accepted.append(listener.accept()[0])
    return accepted


if __name__ == "__main__":
    main(sys.argv[1:])

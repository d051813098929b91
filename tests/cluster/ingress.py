"""An ingress of a lab: a real HTTP server on a node that hands requests on to a service's ClusterIP, or says that it cannot."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab import namespaces
from tests.cluster.machines import fetch

PORT = 8088


class Ingress:
    """`broken` says that it finds nobody behind it; `asked` are the paths and Host headers of requests so far."""

    def __init__(self, netns: str, address: str, service: tuple[str, int]) -> None:
        self.broken = False
        self.asked: list[tuple[str, str]] = []
        self._netns = netns
        self._address = address
        self._service = service

    @property
    def url(self) -> str:
        """Of netmatrix's own echo behind it."""
        return f"http://{self._address}:{PORT}/echo"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While it listens."""
        ingress = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ingress.asked.append((self.path, self.headers.get("Host", "")))
                status, body = ingress._behind(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        def listening() -> socket.socket:
            return socket.create_server((self._address, PORT), reuse_port=True)

        with ThreadingHTTPServer((self._address, PORT), Handler, bind_and_activate=False) as server:
            server.daemon_threads = True
            server.socket.close()
            server.socket = namespaces.call_inside(self._netns, listening)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="ingress")
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def _behind(self, path: str) -> tuple[int, bytes]:
        if self.broken:
            return HTTPStatus.BAD_GATEWAY, b""
        try:
            return fetch(self._netns, *self._service, path, patience=2.0)
        except (OSError, HTTPException):
            return HTTPStatus.BAD_GATEWAY, b""

"""The ports as the configuration has them: sockets that listen, and what the one for agents is served with.

Raises BadFileError, with the path in the configuration, where one cannot be had.
"""

import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from collector.api.agents import KEEPALIVE_SECONDS
from collector.api.faults import server_log
from collector.api.listener import Listener, bound
from collector.document import bad
from collector.settings import Listen, Settings, Tls

OPERATOR_CONNECTIONS = 512
OPERATOR_CONNECTIONS_PER_ADDRESS = 256
"""Of fifty pages that are open behind one forwarded port, and then some."""


def listeners(
    settings: Settings,
    agents: web.ServerRunner,
    operators: web.AppRunner,
    *,
    name: str,
    tls: ssl.SSLContext | None,
    dropped: Callable[[str, str], None],
) -> tuple[Listener, Listener]:
    """The port for agents and the one for operators. `name` is the configuration's.

    `tls` is what the first one serves with where the configuration has no certificate; `dropped` is told the port and the
    reason for each connection that is closed.
    """
    if settings.agents.tls is not None:
        tls = context_of(settings.agents.tls, name)
    return (
        Listener(
            agents,
            bound_as(settings.agents, name, "agents.listen"),
            most=settings.agents.max_connections,
            most_per_address=settings.agents.max_connections_per_address,
            dropped=partial(dropped, "agents"),
            tls=tls,
        ),
        Listener(
            operators,
            bound_as(settings.operators, name, "operators.listen"),
            most=OPERATOR_CONNECTIONS,
            most_per_address=OPERATOR_CONNECTIONS_PER_ADDRESS,
            dropped=partial(dropped, "operators"),
        ),
    )


def operator_runner(app: web.Application, refused: Callable[[str], None]) -> web.AppRunner:
    """What serves the operator port; `refused` is told the word for each request that is none."""
    return web.AppRunner(
        app,
        access_log=None,
        logger=server_log("operators", refused),
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_headers=64,
        shutdown_timeout=2.0,
    )


def bound_as(listen: Listen, name: str, path: str) -> socket.socket:
    """The socket of a port; `name` is the configuration's, `path` the key's in it."""
    try:
        return bound(listen.host, listen.port)
    except OSError as error:
        raise bad(name, path, f"{listen.listen} cannot be listened on: {os.strerror(error.errno or 0)}") from None


def context_of(tls: Tls, name: str) -> ssl.SSLContext:
    """The TLS context of a certificate and a key in files."""
    for key, file in (("certificate", tls.certificate), ("key", tls.key)):
        try:
            Path(file).open("rb").close()
        except OSError as error:
            raise bad(name, f"agents.tls.{key}", f"{file} cannot be read: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except ssl.SSLError as error:
        raise bad(name, "agents.tls", f"certificate and key are not a pair in PEM: {error.reason or 'not PEM'}") from None
    return context

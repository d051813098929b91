"""The ports as the configuration has them: sockets that listen, and what the one for agents is served with.

Raises BadFileError, with the path in the configuration, where one cannot be had.
"""

import os
import socket
import ssl
from pathlib import Path

from collector.api.listener import bound
from collector.document import bad
from collector.settings import Listen, Tls


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

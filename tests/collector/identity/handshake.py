"""A TLS handshake in memory, between a server with a certificate and a client that trusts a bundle."""

import ssl
from contextlib import suppress

from collector.identity.certificates import Pair
from collector.identity.serving import Serving


def shakes_hands(pair: Pair, trusted: str, name: str) -> bool:
    """Whether a client that trusts these certificates takes the server for `name`."""
    serving = Serving()
    serving.load(pair)
    return trusts(serving.context, trusted, name)


def trusts(server: ssl.SSLContext, trusted: str, name: str) -> bool:
    """The same, of a server's context."""
    client = ssl.create_default_context(cadata=trusted)
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python does by default from 3.13
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=name)
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        try:
            with suppress(ssl.SSLWantReadError):
                asking.do_handshake()
        except ssl.SSLCertVerificationError:
            return False
        with suppress(ssl.SSLWantReadError):
            answering.do_handshake()
    return asking.version() is not None and asking.getpeercert() is not None

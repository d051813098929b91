"""The TLS context that the collector serves with: one object, whose certificate is replaced while it is in use.

Connections that exist keep theirs (OpenSSL copies it into each), new ones get the one that was loaded last.
"""

import os
import ssl
from contextlib import suppress

from collector.identity.certificates import Pair


class Serving:
    """See the module. `pair` is what it serves with."""

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.pair: Pair | None = None

    def load(self, pair: Pair) -> None:
        """Serve with another certificate from now on."""
        # The ssl module reads keys from files only: these two are in memory, and nobody else's to open.
        descriptors = [os.memfd_create(name) for name in ("certificate", "key")]
        try:
            for descriptor, text in zip(descriptors, (pair.certificate_pem, pair.key_pem), strict=True):
                with os.fdopen(descriptor, "w", closefd=False) as file:
                    file.write(text)
            self.context.load_cert_chain(*(f"/proc/self/fd/{descriptor}" for descriptor in descriptors))
        finally:
            for descriptor in descriptors:
                with suppress(OSError):
                    os.close(descriptor)
        self.pair = pair

"""HTTP: one GET or HEAD on a new connection, phase by phase; plain by ourselves, TLS by aiohttp.

In: probes to final addresses. Out: observations whose latency is the sum of the phases without resolving. A redirect is an
answer like any other; no body is sent, no credential, and no more than 64 KiB of the answer is read.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent import VERSION, handshake, proof
from agent.probes.http_exchange import question_of
from agent.probes.http_plain import PlainExchanges
from agent.probes.prober import Context, Note, Observation, Probe
from wire.path import Family

if TYPE_CHECKING:
    from agent.probes.http_rich import RichExchanges

USER_AGENT = f"netmatrix/{VERSION}"


class HttpProber:
    """Sends each probe to where it belongs."""

    def __init__(self, context: Context) -> None:
        """Keep the context; open nothing yet."""
        self._context = context
        self._plain = PlainExchanges(context)
        self._rich: RichExchanges | None = None

    def unsupported(self, family: Family) -> str | None:
        """Why HTTP cannot be sent over this family from here; None where it can."""
        return handshake.no_such_family(family)

    def send(self, probes: Sequence[Probe]) -> list[Observation]:
        """Begin to connect; return those that could not."""
        failed = []
        for probe in probes:
            question = question_of(probe, self._context, secrets.token_bytes(proof.NONCE_BYTES), USER_AGENT)
            outcome = (self._secured() if question.ask.tls else self._plain).begin(question)
            if outcome is not None:
                failed.append(Observation(probe, outcome=outcome))
        return failed

    def collect(self) -> list[Observation | Note]:
        """The exchanges that have ended, either way, since the last call."""
        return [*self._plain.collect(), *(self._rich.collect() if self._rich is not None else ())]

    def forget(self, probe: Probe) -> None:
        """Close its connection, cancel its task."""
        self._plain.forget(probe)
        if self._rich is not None:
            self._rich.forget(probe)

    def close(self) -> None:
        """Close every connection, cancel every task."""
        self._plain.close()
        if self._rich is not None:
            self._rich.close()

    def _secured(self) -> "RichExchanges":
        if self._rich is None:
            # Its library is 14 MiB resident, and few agents have a probe over TLS.
            from agent.probes.http_rich import RichExchanges  # noqa: PLC0415 - see above

            self._rich = RichExchanges(self._context)
        return self._rich

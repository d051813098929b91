"""The echo: it accepts TCP connections, and tells whoever asks over HTTP from which address they came.

In: at most one GET or HEAD request per connection. Out: one answer of less than 300 bytes. Who we are is told only to a request
with a proof that a colleague wrote it. No request can reach anything but this answer.
"""

import re
from collections import Counter
from typing import Protocol

import msgspec

from agent import proof
from agent.probes.prober import Context
from agent.responders.one_answer import OneAnswerServer, Page, Request

PATH = "/echo"
MAX_CONNECTIONS = 256

_PROOF_LINE = re.compile(rb"(?i:" + proof.HTTP_HEADER.encode() + rb"):[ \t]*([!-~]*)[ \t]*")


class Names(Protocol):
    """Where we run, as told to a colleague."""

    @property
    def node(self) -> str:
        """Own node."""

    @property
    def namespace(self) -> str:
        """Own namespace."""

    @property
    def pod(self) -> str:
        """Own pod."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body: `source` for everybody, the rest for colleagues."""

    source: str
    uid: str = ""
    node: str = ""
    namespace: str = ""
    pod: str = ""
    proof: str = ""


class EchoServer(OneAnswerServer):
    """One echo; among the reasons of what it drops is `proof`."""

    def __init__(self, context: Context, identity: Names, port: int) -> None:
        super().__init__(port, max_connections=MAX_CONNECTIONS)
        self.answered: Counter[str] = Counter()
        """`colleague` and `stranger`."""
        self.context = context
        self.identity = identity

    def page(self, request: Request) -> Page | None:
        """The one page that there is."""
        if request.path != PATH.encode():
            return None
        return Page(msgspec.json.encode(self._told(request)), "application/json")

    def _told(self, request: Request) -> Answer:
        proofs = [match[1] for line in request.lines if (match := _PROOF_LINE.fullmatch(line))]
        if len(proofs) == 1:
            words = proofs[0].decode(), self.context.keys, request.method.decode(), request.target.decode()
            verified = proof.verify_http_request(*words)
            if verified is not None:
                self.answered["colleague"] += 1
                uid, identity = self.context.uid, self.identity
                signed = proof.http_answer_proof(verified, uid)
                return Answer(request.source, uid, identity.node, identity.namespace, identity.pod, signed)
        self.answered["stranger"] += 1
        self.dropped["proof"] += bool(proofs)
        return Answer(request.source)

"""What an HTTP probe asks, and what an answer to it means. Pure.

In: a probe, who we are, and later a status with the start of a body. Out: the request, and a verdict about the answer. Between
agents of one cluster the request proves that we belong, and the answer who gave it; nothing else is ever sent but the path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

import msgspec

from agent import proof
from agent.probes.prober import NO_FACTS, Context, Probe
from wire.outcome import Outcome
from wire.path import Http
from wire.plan import GroupKey
from wire.window import FactName

ECHO_PATH = "/echo"
MAX_STATUS_UP = 499
"""A server that answers up to here is there; beyond, it says by itself that it is not well."""
_DEFAULT_PORTS = {False: 80, True: 443}


@dataclass(frozen=True, slots=True)
class Question:
    """One request, ready to be written."""

    probe: Probe
    ask: Http
    headers: Mapping[str, str]
    key: GroupKey | None
    """The key that the request was signed with; None where nothing was proved."""
    nonce: bytes

    @property
    def head(self) -> bytes:
        """The bytes of an HTTP/1.1 request."""
        lines = [f"{self.ask.method} {self.ask.path} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer means; `outcome` is None where it is as it should be."""

    outcome: Outcome | None = None
    confirmed: bool = False
    facts: Mapping[FactName, str] = field(default_factory=lambda: NO_FACTS)


class _Echo(msgspec.Struct, frozen=True):
    source: str = ""
    uid: str = ""
    proof: str = ""


_echo_decoder = msgspec.json.Decoder(_Echo)


def question_of(probe: Probe, context: Context, nonce: bytes, user_agent: str) -> Question:
    """The request of a probe; `nonce` is 8 fresh random bytes. Raises TypeError for a path of another kind."""
    ask = probe.path.ask
    if not isinstance(ask, Http):
        raise TypeError(f"an http prober was given a path of kind {probe.path.kind}")
    # Nothing asks the other side to close, though every connection carries one request and then ends with RST: the kernel
    # merges a FIN with the answer that waits to be read, and keeps its stamp for that of the first byte.
    headers = {
        "Host": ask.authority or _authority(ask.host or probe.address, ask),
        "User-Agent": user_agent,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    key = context.keys[0] if context.keys and _is_to_a_colleague(probe, ask) else None
    if key is not None:
        headers[proof.HTTP_HEADER] = proof.http_request_proof(key, context.uid, nonce, ask.method, ask.path)
    return Question(probe, ask, headers, key, nonce)


def judgement_of(question: Question, context: Context, status: int, body: bytes) -> Judgement:
    """What an answer means, from its status and the start of its body."""
    facts = {FactName.STATUS: str(status)}
    if not accepts(question.ask.expect_status, status):
        return Judgement(Outcome.HTTP_STATUS, facts=facts)
    if question.ask.body_contains.encode() not in body:
        return Judgement(Outcome.PROTOCOL, facts=facts)
    if not _is_to_a_colleague(question.probe, question.ask):
        return Judgement(facts=facts)
    return _judgement_of_echo(question, context, facts, body)


def accepts(expected: str, status: int) -> bool:
    """Whether a status is among the expected ones, such as `200,3xx`; anything below 500 where none are named."""
    if not expected:
        return status <= MAX_STATUS_UP
    return any(word == str(status) or word == f"{status // 100}xx" for word in expected.split(","))


def _judgement_of_echo(question: Question, context: Context, facts: dict[FactName, str], body: bytes) -> Judgement:
    try:
        echo = _echo_decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Judgement(facts=facts)  # whoever this is proves nothing: the success stays unconfirmed
    if (source := _seen(echo.source)) and context.addresses and source not in context.addresses:
        facts |= {FactName.SOURCE: source}
    if question.key is None or not proof.verify_http_answer(echo.proof, question.key, question.nonce, echo.uid):
        return Judgement(facts=facts)
    if echo.uid != question.probe.path.target.uid:
        return Judgement(Outcome.WRONG_PEER, facts=facts | {FactName.PEER_UID: echo.uid})
    return Judgement(confirmed=True, facts=facts)


def _is_to_a_colleague(probe: Probe, ask: Http) -> bool:
    return bool(probe.path.target.uid) and ask.path == ECHO_PATH


def _authority(host: str, ask: Http) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if ask.port == _DEFAULT_PORTS[ask.tls] else f"{name}:{ask.port}"


def _seen(source: str) -> str | None:
    try:
        return str(ip_address(source))
    except ValueError:
        return None

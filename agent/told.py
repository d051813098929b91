"""All that is known of one probe, for people and for programs. Pure.

In: an observation, and the URL that asked for it. Out: a flat value that is JSON as it is, and text that explains itself.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from agent.probes.dns_exchange import MALFORMED
from agent.probes.prober import Observation
from wire.outcome import Outcome
from wire.path import Dns
from wire.window import FactName, Measure

_PHASES = {
    Measure.RESOLVE_NS: "resolve",
    Measure.CONNECT_NS: "connect",
    Measure.TLS_NS: "tls",
    Measure.FIRST_BYTE_NS: "first_byte",
    Measure.TRANSFER_NS: "transfer",
}
SENTENCES = {
    Outcome.TIMEOUT: "No answer came within the waiting time.",
    Outcome.REFUSED: "The target answered that nothing listens there.",
    Outcome.RESET: "The connection was torn down by the other side.",
    Outcome.UNREACHABLE: "There is no route, or a router or the target's network said that it cannot be reached.",
    Outcome.PROHIBITED: "A firewall on the way said that this is prohibited.",
    Outcome.TOO_BIG: "A hop on the way said that the packet is too big for it.",
    Outcome.DNS_NXDOMAIN: "There is no such name.",
    Outcome.DNS_SERVFAIL: "The name server could not find out (SERVFAIL).",
    Outcome.DNS_TIMEOUT: "No name server answered in time.",
    Outcome.DNS_ERROR: "The name could not be resolved to an address of this family.",
    Outcome.TLS: "The TLS handshake or the verification of the certificate failed.",
    Outcome.HTTP_STATUS: "The server answered with a status that says it is not well.",
    Outcome.PROTOCOL: "What came back is not an answer in this protocol, or was cut short.",
    Outcome.NO_ENDPOINTS: "The service has no ready endpoint behind it.",
    Outcome.WRONG_PEER: "Another pod than the expected one answered.",
    Outcome.LATE: "An answer came after the waiting time.",
    Outcome.NO_FD: "Our own fault: no file descriptor is left.",
    Outcome.NO_BUFFER: "Our own fault: no memory or queue space is left for the packet.",
    Outcome.NO_PORT: "Our own fault: no source port is left.",
    Outcome.FORBIDDEN: "Nothing may be sent to this address: our own deny list or kernel forbids it.",
    Outcome.UNSUPPORTED: "This kind or family cannot be sent from here.",
    Outcome.PAUSED: "We were stopped while the probe was out, so its fate is not known.",
    Outcome.SKIPPED: "It was not sent: a budget was used up.",
    Outcome.INTERNAL: "An error nobody foresaw: a fault in netmatrix.",
}


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is known of one probe; the JSON output. Times in microseconds."""

    url: str
    kind: str
    answered: bool
    address: str = ""
    family: str = ""
    latency_us: float | None = None
    timed: str = ""
    outcome: str = ""
    because: str = ""
    confirmed: bool = False
    """The answer proved to be of the pod that was expected."""
    phases_us: Mapping[str, float] = {}
    retransmits: int = 0
    status: str = ""
    answer: str = ""
    """What a name server answered."""
    asked_over: str = ""
    """How a name server was asked: `udp`, `tcp`, or `udp, tcp` where the first answer was truncated."""
    mtu: str = ""
    """Bytes that a link on the way carries, as the router before it said."""
    certificate_expires: str = ""
    hop_limit: str = ""
    source: str = ""
    """Address that the peer saw us come from, where it says so."""
    peer_uid: str = ""


def told(url: str, observation: Observation, because: str = "") -> Told:
    """What is known of one probe; `because` where more is known of a failure than its word."""
    probe, outcome, facts = observation.probe, observation.outcome, observation.facts
    measures = dict(observation.measures)
    if probe.resolve_ns:
        measures[Measure.RESOLVE_NS] = probe.resolve_ns
    phases = {name: measures[measure] / 1000 for measure, name in _PHASES.items() if measure in measures}
    return Told(
        url=url,
        kind=probe.path.kind,
        answered=outcome is None,
        address=probe.address,
        family=probe.path.family,
        latency_us=None if observation.latency_ns is None else observation.latency_ns / 1000,
        timed=observation.timed.word,
        outcome="" if outcome is None else outcome.word,
        because="" if outcome is None else because or _sentence(observation, outcome),
        confirmed=observation.confirmed,
        phases_us=phases,
        retransmits=measures.get(Measure.RETRANSMITS, 0),
        status=facts.get(FactName.STATUS, ""),
        answer=facts.get(FactName.ANSWER, ""),
        asked_over=_asked_over(observation),
        mtu=facts.get(FactName.MTU, ""),
        certificate_expires=facts.get(FactName.CERTIFICATE_EXPIRES, ""),
        hop_limit=facts.get(FactName.HOP_LIMIT, ""),
        source=facts.get(FactName.SOURCE, ""),
        peer_uid=facts.get(FactName.PEER_UID, ""),
    )


def text_of(known: Told) -> str:
    """The same for people: a headline, then one line for each thing known."""
    head = f"{known.url}: "
    if known.latency_us is None:
        head += f"{known.outcome}. {known.because}"
    else:
        head += f"answered in {_duration(known.latency_us)} (timed by {known.timed})"
    expires = known.certificate_expires and datetime.fromtimestamp(int(known.certificate_expires), UTC).isoformat()
    lines = {
        "address": f"{known.address} ({known.family})" if known.address else "",
        "phases": ", ".join(f"{name} {_duration(microseconds)}" for name, microseconds in known.phases_us.items()),
        "status": known.status,
        "answer": known.answer,
        "asked over": known.asked_over,
        "link carries": f"{known.mtu} bytes" if known.mtu else "",
        "certificate": f"expires {expires}" if expires else "",
        "hop limit": known.hop_limit,
        "retransmits": str(known.retransmits or ""),
        "source seen": known.source,
        "identity": "confirmed" if known.confirmed else "",
        "answered by": f"pod UID {known.peer_uid}" if known.peer_uid else "",
    }
    return "\n".join([head, *(f"  {name:<12} {value}" for name, value in lines.items() if value)])


def _sentence(observation: Observation, outcome: Outcome) -> str:
    """Of a probe to a name server the words for a failed resolution mean another thing."""
    ask, status = observation.probe.path.ask, observation.facts.get(FactName.STATUS, "")
    if not isinstance(ask, Dns) or outcome is not Outcome.DNS_ERROR:
        return SENTENCES[outcome]
    if status not in {"", "NOERROR"}:
        return f"The name server answered {status}."
    if observation.facts.get(FactName.ANSWER) == MALFORMED or not ask.contains:
        return "The name server's answer cannot be read."
    return f"The answer does not hold {ask.contains}."


def _asked_over(observation: Observation) -> str:
    ask = observation.probe.path.ask
    if not isinstance(ask, Dns):
        return ""
    return "tcp" if ask.tcp else "udp, tcp" if Measure.CONNECT_NS in observation.measures else "udp"


def _duration(microseconds: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.3g} µs"

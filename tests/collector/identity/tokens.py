"""Tokens as an API server makes them, but for the signature, and one that finds valid what it is told to."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from collector.discovery.cluster.client import Answer
from collector.discovery.snapshot import Vantage
from collector.identity.reviews import AUDIENCE

NOW = 1_800_000_000.0
VANTAGES = tuple(
    Vantage(name=f"n{n}", node=f"n{n}", namespace="netmatrix", pod=f"agent-{n}", addresses=(f"10.0.0.{n}",), uid=f"uid-{n}")
    for n in range(1, 4)
)


def payload_of(number: int = 1, bound: object = None, **changes: Any) -> dict[str, Any]:
    """The claims of the token of an agent's pod."""
    return {
        "aud": [AUDIENCE],
        "exp": NOW + 3600,
        "sub": "system:serviceaccount:netmatrix:netmatrix-agent",
        "kubernetes.io": bound
        if bound is not None
        else {
            "namespace": "netmatrix",
            "node": {"name": f"n{number}", "uid": f"node-uid-{number}"},
            "pod": {"name": f"agent-{number}", "uid": f"uid-{number}"},
        },
    } | changes


def token_of(payload: object, *, header: object = None, signature: bytes = b"signature") -> str:
    parts = (
        json.dumps({"alg": "RS256", "kid": "k"} if header is None else header).encode(),
        json.dumps(payload).encode(),
        signature,
    )
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def status_of(number: int = 1, *, account: str = "netmatrix:netmatrix-agent", **extra: str) -> dict[str, Any]:
    """What a TokenReview says of the token of an agent's pod."""
    said = {"pod-name": f"agent-{number}", "pod-uid": f"uid-{number}", "node-name": f"n{number}"} | {
        name.replace("_", "-"): value for name, value in extra.items()
    }
    return {
        "authenticated": True,
        "user": {
            "username": f"system:serviceaccount:{account}",
            "extra": {f"authentication.kubernetes.io/{name}": [value] for name, value in said.items() if value},
        },
        "audiences": [AUDIENCE],
    }


def answer_of(status: object, code: int = 201) -> Answer:
    return Answer(code, json.dumps({"kind": "TokenReview", "status": status}).encode())


@dataclass
class Reviewer:
    """In the place of the API server: answers as it is told to, at once or when it is allowed to, and remembers the tokens."""

    answer: Callable[[str], Answer]
    asked: list[str] = field(default_factory=list)
    allowed: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.allowed.set()

    async def ask(
        self, method: str, path: str, *, body: Any = None, content_type: str = "application/json", seconds: float = 60.0
    ) -> Answer:
        assert content_type == "application/json"
        assert (method, path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
        assert body["spec"]["audiences"] == [AUDIENCE]
        assert seconds <= 5
        self.asked.append(body["spec"]["token"])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.allowed.wait()
        finally:
            self.at_once -= 1
        return self.answer(body["spec"]["token"])

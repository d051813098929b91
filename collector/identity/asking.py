"""What identity asks of the Kubernetes API."""

from typing import Protocol

from collector.discovery.cluster.client import Answer


class Asks(Protocol):
    """The part of `collector.discovery.cluster.client.Api` that is used."""

    async def ask(
        self, method: str, path: str, *, body: object = None, content_type: str = "application/json", seconds: float = 60.0
    ) -> Answer:
        """One request and its answer; raises ApiAwayError."""

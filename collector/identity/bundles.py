"""The ConfigMaps by which agents and vantages trust the collector: each namespace ships an empty one, and we fill it.

In: namespaces, and the certificates that are trusted now. Out: `ca.crt` in each, written where it differs. Whoever empties or
changes one sees it filled again; one that is missing, or that we may not change, is said once.
"""

from collections.abc import Iterable
from typing import Final

import structlog
from msgspec import Struct
from msgspec.json import decode

from collector.discovery.cluster.client import ApiAwayError, reason_of
from collector.identity.asking import Asks

CONFIG_MAP: Final = "netmatrix-ca"
KEY: Final = "ca.crt"
SECONDS = 10.0
_MERGE = "application/merge-patch+json"
_log = structlog.get_logger()


class _ConfigMap(Struct):
    data: dict[str, str] | None = None


class Bundles:
    """See the module."""

    def __init__(self, api: Asks) -> None:
        self._api = api
        self._faults: dict[str, str] = {}

    @property
    def faults(self) -> int:
        """In how many namespaces it is not as it should be, as far as we know."""
        return len(self._faults)

    def sentences(self) -> list[str]:
        """Why, for each of them."""
        return [f"{namespace}/{CONFIG_MAP}: {because}" for namespace, because in self._faults.items()]

    async def fill(self, namespace: str, certificates: str) -> None:
        """See to it that the ConfigMap of a namespace holds the certificates."""
        because = await self._filled(namespace, certificates)
        if because and self._faults.get(namespace) != because:
            _log.warning("agents of a namespace cannot know the collector", namespace=namespace, because=because)
        self._faults[namespace] = because
        if not because:
            del self._faults[namespace]

    def forget(self, namespaces: Iterable[str]) -> None:
        """Nobody is there any more."""
        for namespace in namespaces:
            self._faults.pop(namespace, None)

    async def _filled(self, namespace: str, certificates: str) -> str:
        """Why it could not be done; empty where it was, or need not be."""
        path = f"/api/v1/namespaces/{namespace}/configmaps/{CONFIG_MAP}"
        try:
            answer = await self._api.ask("GET", path, seconds=SECONDS)
            if answer.good and (decode(answer.body, type=_ConfigMap).data or {}).get(KEY) != certificates:
                change = {"data": {KEY: certificates}}
                answer = await self._api.ask("PATCH", path, body=change, content_type=_MERGE, seconds=SECONDS)
        except ApiAwayError as error:
            return str(error)
        except ValueError:
            return "the API server answers something else than a ConfigMap"
        return "" if answer.good else reason_of(answer)

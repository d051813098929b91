"""Identity in a cluster: one object that tells who agents are, and that agents know the collector by.

In: the Kubernetes API, and the vantages of each snapshot. Out: an admission, a TLS context and the secrets of group keys, all
of which follow what is kept in the cluster without a restart. What it looks at is looked at once a minute, or seldom enough
that all looks together are a request in five seconds.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ssl import SSLContext

import structlog

from collector.discovery.cluster.client import ApiAwayError
from collector.discovery.snapshot import Vantage
from collector.identity.asking import Asks
from collector.identity.authority import Authority, AuthorityError
from collector.identity.bundles import Bundles
from collector.identity.certificates import Pair, pem_of, server_pair
from collector.identity.reviews import TokenReviews
from collector.identity.secret import SECRET, settled
from collector.identity.serving import Serving

NAME = "netmatrix-collector"
"""Of the collector's Service."""
LOOK_SECONDS = 60.0
NAMESPACE_SECONDS = 5.0
"""With many namespaces, this long for each."""
AGAIN_SECONDS = 5.0
"""From one look at the Secret to the next while there is no authority."""
SETTLE_SECONDS = 600.0
"""How long an authority that came unannounced is trusted before we serve with it: a mounted ConfigMap is minutes late."""
SERVED_SECONDS = 30 * 86_400.0
RENEWED_SHARE = 2 / 3
"""A certificate is replaced when this share of its time is over."""
GATHER_SECONDS = 1.0
"""From one look to the next at least."""
_log = structlog.get_logger()


def names_of(namespace: str, cluster_domain: str) -> tuple[str, ...]:
    """The names that agents may know the collector by."""
    service = f"{NAME}.{namespace}.svc"
    return tuple(
        dict.fromkeys((NAME, f"{NAME}.{namespace}", service, f"{service}.cluster.local", f"{service}.{cluster_domain}"))
    )


class ClusterIdentity:
    """See the module. An Admission, once it has begun; `follow` runs for as long as the collector does.

    `count` is told what became of each review of a token, `now` is in Unix seconds, `clock` in seconds of no clock on any wall.
    """

    def __init__(
        self,
        api: Asks,
        *,
        namespace: str,
        cluster_domain: str = "cluster.local",
        addresses: Sequence[str] = (),
        count: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._names = names_of(namespace, cluster_domain)
        self._addresses = tuple(addresses)
        self._now = now
        self._clock = clock
        self._reviews = TokenReviews(api, count=count, now=now, clock=clock)
        self._serving = Serving()
        self._bundles = Bundles(api)
        self._authority: Authority | None = None
        self._signer: Pair | None = None
        """What the certificate in use was signed with."""
        self._told: dict[str, float] = {}
        """What agents are told to trust, in PEM, and since when."""
        self._bundle = ""
        self._looked = {namespace: float("-inf")}
        """When the ConfigMap of each namespace was looked at last."""
        self._more = asyncio.Event()
        self._has_begun = asyncio.Event()
        self._fault = ""

    @property
    def tls(self) -> SSLContext:
        """What the agent port serves with; its certificate changes while it is in use."""
        return self._serving.context

    @property
    def faults(self) -> int:
        """In how many places the authority or its certificate is not as it should be."""
        return self._bundles.faults + bool(self._fault)

    def sentences(self) -> list[str]:
        """What is wrong in each of them."""
        return [*self._bundles.sentences(), *([f"{self._namespace}/{SECRET}: {self._fault}"] if self._fault else [])]

    def secret(self, epoch: int) -> bytes:
        """What the group key of an epoch follows from."""
        return self._in_force().secret(epoch)

    def expiries(self) -> dict[str, float]:
        """When what is in force ends: the certificate of the `server` and that of the `authority`; empty before both are."""
        if self._authority is None or self._serving.pair is None:
            return {}
        return {"server": self._serving.pair.expires, "authority": self._authority.signer.expires}

    def install(self, vantages: Iterable[Vantage]) -> None:
        """Let these vantages in, and no others, and see to it that they can know us."""
        vantages = tuple(vantages)
        self._reviews.install(vantages)
        namespaces = {self._namespace, *(vantage.namespace for vantage in vantages)}
        if not namespaces <= self._looked.keys():
            self._more.set()
        self._bundles.forget(self._looked.keys() - namespaces)
        self._looked = {namespace: self._looked.get(namespace, float("-inf")) for namespace in namespaces}

    async def vantage_of(self, authorization: str | None, remote: str) -> str:
        """See collector.admission.Admission."""
        return await self._reviews.vantage_of(authorization, remote)

    async def begun(self) -> Callable[[int], bytes]:
        """Wait until there is an authority; what group keys follow from, by the epoch."""
        await self._has_begun.wait()
        return self.secret

    async def follow(self) -> None:
        """Find the authority, and keep all of it as it should be, for ever."""
        await self.begin()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._more.wait()
            self._more.clear()
            await self.look()
            await asyncio.sleep(GATHER_SECONDS)

    async def begin(self) -> None:
        """Find the authority, however long that takes: the API server may be away, or the Secret hold another thing for now."""
        while self._authority is None:
            try:
                self._adopt(await settled(self._api, self._namespace, None, now=self._now()))
            except (AuthorityError, ApiAwayError) as error:
                self._say(str(error))
                await asyncio.sleep(AGAIN_SECONDS)
        self._say("")
        self._serve()
        self._more.set()
        self._has_begun.set()

    async def look(self) -> None:
        """Look once at the Secret, at our certificate, and at the ConfigMaps whose turn it is."""
        try:
            self._adopt(await settled(self._api, self._namespace, self._in_force(), now=self._now()))
        except (AuthorityError, ApiAwayError) as error:
            self._say(str(error))
        else:
            self._say("")
        self._serve()
        await self._spread()

    def _adopt(self, authority: Authority) -> None:
        if self._authority is not None and authority.signer.certificate != self._authority.signer.certificate:
            _log.info("another authority", subject=authority.signer.certificate.subject.rfc4514_string())
        # What an earlier process told may be trusted for long; what comes while we run is not trusted before we tell it.
        since = self._clock() if self._authority is not None else float("-inf")
        trusted = [*map(pem_of, authority.trusted()), *([self._signer.certificate_pem] if self._signer else [])]
        self._told = {one: self._told.get(one, since) for one in trusted}
        self._authority = authority

    def _serve(self) -> None:
        """Serve with a certificate that is not old, from the authority in force once agents trust it."""
        signer, now = self._in_force().signer, self._now()
        if self._signer is not None and self._clock() - self._told[signer.certificate_pem] < SETTLE_SECONDS:
            signer = self._signer
        pair = self._serving.pair
        same = self._signer is not None and signer.certificate == self._signer.certificate
        if pair is not None and same and now < pair.made + RENEWED_SHARE * (pair.expires - pair.made):
            return
        self._serving.load(server_pair(signer, self._names, self._addresses, now=now, seconds=SERVED_SECONDS))
        self._signer = signer

    async def _spread(self) -> None:
        bundle = "".join(self._told)
        least = max(LOOK_SECONDS, NAMESPACE_SECONDS * len(self._looked)) - GATHER_SECONDS
        due = [one for one, looked in self._looked.items() if bundle != self._bundle or self._clock() - looked >= least]
        self._bundle = bundle
        for namespace in due:
            await self._bundles.fill(namespace, bundle)
            if namespace in self._looked:  # still
                self._looked[namespace] = self._clock()

    def _in_force(self) -> Authority:
        if self._authority is None:
            raise RuntimeError("it has not begun")
        return self._authority

    def _say(self, fault: str) -> None:
        if fault and fault != self._fault:
            went_on = "the last one stays in force" if self._authority else "no agent is answered yet"
            _log.warning(f"no use can be made of the authority's Secret, {went_on}", name=SECRET, because=fault)
        self._fault = fault

"""Who the agents and the operators of a cluster are, as its API server says: made only where there is one.

In: the source of a cluster, and the configuration. Out: the identity that admits its agents, and who may have something done.
"""

import os
from typing import TYPE_CHECKING

from collector.export.own import OwnMetrics
from collector.settings import DiscoverySettings

if TYPE_CHECKING:  # its client takes 30 MiB, which an inventory does without
    from collector.discovery.cluster.source import ClusterSource
    from collector.identity.cluster import ClusterIdentity
    from collector.identity.operators import OperatorReviews


def identity_in(cluster: "ClusterSource", settings: DiscoverySettings, own: OwnMetrics) -> "ClusterIdentity":
    """The identity of agents in a cluster, whose standing is among the collector's own metrics from then on."""
    # For a cluster alone, as its source.
    from collector.identity.cluster import ClusterIdentity  # noqa: PLC0415 - as above
    from collector.identity.own_addresses import own_addresses  # noqa: PLC0415 - as above

    identity = ClusterIdentity(
        cluster.api,
        namespace=settings.namespace,
        cluster_domain=settings.cluster_domain,
        addresses=own_addresses(os.environ.get("KUBERNETES_SERVICE_HOST", "")),
        count=lambda word: own.token_reviews.labels(word).inc(),
    )
    own.follow_identity(expiries=identity.expiries, faults=lambda: identity.faults)
    return identity


def permission_in(cluster: "ClusterSource", settings: DiscoverySettings, own: OwnMetrics) -> "OperatorReviews":
    """Who may have something done in a cluster: whoever the API server says."""
    from collector.identity.operators import OperatorReviews  # noqa: PLC0415 - as above

    return OperatorReviews(
        cluster.api, namespace=settings.namespace, count=lambda word: own.operator_reviews.labels(word).inc()
    )

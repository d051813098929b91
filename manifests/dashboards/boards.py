"""The dashboards that there are, in the order of their links."""

from typing import Final

from manifests.dashboards.itself import ITSELF
from manifests.dashboards.namespaces import NAMESPACES
from manifests.dashboards.node import NODE
from manifests.dashboards.overview import OVERVIEW
from manifests.dashboards.pairs import PAIRS
from manifests.dashboards.services import SERVICES

DASHBOARDS: Final = (OVERVIEW, NAMESPACES, NODE, SERVICES, PAIRS, ITSELF)

"""Panels of Grafana's classic dashboard schema, as small functions: a title, what it says, queries, a unit. Pure.

Every query goes to the data source and the cluster that are chosen on top of the dashboard.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

from msgspec import Struct

Json = dict[str, Any]

WIDTH: Final = 24
"""Columns of a dashboard."""
SCHEMA: Final = 39
"""What Grafana 10 to 13 read without a migration."""
SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
GOOD, WARN, BAD, QUIET = "blue", "orange", "dark-red", "text"
"""Colours that colour-blind people can tell apart, as on the page."""
LOSS: Final = ((None, GOOD), (0.001, WARN), (0.05, BAD))
"""Thresholds of a loss, as a share."""


class Query(Struct, frozen=True):
    """A PromQL expression; `$scope` in it stands for the matchers of the cluster that is chosen."""

    text: str
    legend: str = ""
    only_in_a_fault: bool = False
    """Whether it has an answer only while something is wrong."""

    @property
    def expression(self) -> str:
        """With the matchers of the chosen cluster."""
        return self.text.replace("$scope", 'cluster=~"$cluster"')


class Panel(Struct, frozen=True):
    """One panel; its place follows from its size and those before it."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    thresholds: tuple[tuple[float | None, str], ...] = ((None, GOOD),)
    options: Mapping[str, Any] = {}
    custom: Mapping[str, Any] = {}
    """What its kind has under `fieldConfig.defaults.custom`."""
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    extra: Mapping[str, Any] = {}
    """What stands under `fieldConfig.defaults` besides."""


class Look(TypedDict, total=False):
    """What a panel may have besides its words."""

    unit: str
    width: int
    height: int
    thresholds: tuple[tuple[float | None, str], ...]
    overrides: tuple[Json, ...]


def _made(kind: str, words: tuple[str, str], queries: tuple[Query, ...], usual: Mapping[str, Any], look: Look) -> Panel:
    return Panel(kind, *words, queries, **{**usual, **look})


def stat(title: str, description: str, query: Query, **look: Unpack[Look]) -> Panel:
    """One number."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "textMode": "auto",
    }
    return _made("stat", (title, description), (query,), {"width": 4, "height": 4, "options": options}, look)


def lines(title: str, description: str, *queries: Query, **look: Unpack[Look]) -> Panel:
    """Lines over time."""
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    custom = {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": False}
    return _made("timeseries", (title, description), queries, {"options": options, "custom": custom}, look)


def table(title: str, description: str, query: Query, *, columns: Sequence[tuple[str, str]], **look: Unpack[Look]) -> Panel:
    """Rows of labels, with the value last; `columns` are labels and their headings."""
    order = {name: number for number, (name, _) in enumerate((*columns, ("Value", "")))}
    organize = {
        "id": "organize",
        "options": {
            "includeByName": dict.fromkeys(order, True),
            "indexByName": order,
            "renameByName": {name: heading for name, heading in columns if heading},
        },
    }
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}}
    usual = {"width": 24, "options": options, "transformations": (organize,)}
    return _made("table", (title, description), (query,), usual, look)


def states(title: str, description: str, query: Query, **look: Unpack[Look]) -> Panel:
    """A row of coloured cells over time for each series."""
    options = {"showValue": "never", "rowHeight": 0.86, "legend": {"showLegend": False}, "tooltip": {"mode": "single"}}
    custom = {"lineWidth": 1, "fillOpacity": 80}
    usual = {"options": options, "custom": custom, "thresholds": LOSS, "unit": "percentunit"}
    return _made("status-history", (title, description), (query,), usual, look)


class Dashboard(Struct, frozen=True):
    """A dashboard: rows of panels under headings."""

    name: str
    """Of its file, and the end of its uid."""
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    variables: tuple[Json, ...] = ()

    @property
    def panels(self) -> Iterable[Panel]:
        """All of them."""
        return (panel for _, panels in self.rows for panel in panels)


def chosen(name: str, label: str, metric: str, *, title: str) -> Json:
    """A variable with the values of a label of a metric."""
    query = f'label_values({metric}{{cluster=~"$cluster"}}, {label})'
    return {
        "name": name,
        "label": title,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 7,
        "includeAll": False,
        "multi": False,
    }


_COMMON: Final[tuple[Json, ...]] = (
    {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1},
    {
        "name": "cluster",
        "label": "Cluster",
        "type": "query",
        "datasource": SOURCE,
        "definition": "label_values(netmatrix_series, cluster)",
        "query": {"query": "label_values(netmatrix_series, cluster)", "refId": "cluster"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    },
    {
        "name": "page",
        "label": "netmatrix page",
        "type": "textbox",
        "query": "http://localhost:8080",
        "current": {"text": "http://localhost:8080", "value": "http://localhost:8080"},
    },
)


def written(one: Dashboard, others: Sequence[Dashboard]) -> Json:
    """A dashboard as Grafana reads it, with links to the others and to the page."""
    panels: list[Json] = []
    x = y = below = 0
    for heading, row in one.rows:
        if heading:
            panels.append(_heading(heading, len(panels) + 1, below))
            below += 1
        x, y = 0, below
        for panel in row:
            if x + panel.width > WIDTH:
                x, y = 0, below
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x, below = x + panel.width, max(below, y + panel.height)
    links = [
        {"title": other.title, "type": "link", "url": f"/d/netmatrix-{other.name}", "keepTime": True, "includeVars": True}
        for other in others
        if other is not one
    ]
    links.append({"title": "The page", "type": "link", "url": "${page}/", "targetBlank": True})
    return {
        "uid": f"netmatrix-{one.name}",
        "title": one.title,
        "description": one.description,
        "tags": ["netmatrix"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "links": links,
        "templating": {"list": [*_COMMON, *one.variables]},
        "annotations": {"list": [_incidents()]},
        "panels": panels,
    }


def _heading(title: str, number: int, y: int) -> Json:
    place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, x: int, y: int) -> Json:
    steps = [{"value": value, "color": colour} for value, colour in panel.thresholds]
    is_table = panel.kind == "table"
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
                "custom": dict(panel.custom),
                "mappings": [],
                **panel.extra,
            },
            "overrides": list(panel.overrides),
        },
        "options": dict(panel.options),
        "transformations": list(panel.transformations),
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
                **({"format": "table", "instant": True} if is_table else {}),
            }
            for place, query in enumerate(panel.queries)
        ],
    }


def _incidents() -> Json:
    """Open incidents as marks on every graph."""
    return {
        "name": "Incidents",
        "datasource": SOURCE,
        "enable": True,
        "expr": 'netmatrix_incident_active{cluster=~"$cluster", inhibited_by=""}',
        "iconColor": WARN,
        "titleFormat": "{{kind}} {{component}}",
        "textFormat": "{{effect}} on the {{layer}} layer",
        "useValueForTime": False,
    }

"""Who is told of incidents by the collector itself, as people write it in a configuration. Off unless somebody is named.

What is secret (a token, the URL of a chat) is never in the configuration, which is a ConfigMap: it is in a file that a
Secret is mounted as, and what is read from such a file goes over https only.
"""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from collector.denied import denied_address, host_complaint
from collector.duration import Duration
from collector.template import Template, Tree
from wire.text import Name

SECOND: Final = 1_000_000_000
MAX_URL: Final = 1200
SEVERITIES: Final = ("info", "warning", "critical")
"""From the least."""
VALUES: Final = (
    *("status", "alert", "summary", "sentence", "severity", "id", "kind", "component", "layer", "direction", "effect"),
    *("src_namespace", "dst_namespace", "owner", "expectation", "cluster", "since", "closed", "seconds", "loss", "sent"),
    *("lost", "witnesses", "of_witnesses", "nodes", "paths", "namespaces", "runbook", "url"),
)
"""What a template has places for."""
RESERVED: Final = ("host", "connection", "content-length", "content-type", "transfer-encoding", "te", "trailer", "upgrade")
"""Headers that belong to the request itself."""

Severity = Literal["info", "warning", "critical"]
Url = Annotated[str, Meta(max_length=MAX_URL)]
File = Annotated[str, Meta(max_length=1024)]


def url_complaint(url: str) -> str:
    """What is wrong with the URL of a receiver, in a few words that do not repeat it; empty where nothing is."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return "expected an URL such as https://alertmanager.example.com:9093"
        if parts.port == 0 or not all("!" <= c <= "~" for c in url):
            return "it has a port or characters that no URL has"
        if "@" in parts.netloc:
            return "a name or a password does not belong into it; use headers, whose values are in files"
    except ValueError:
        return "it is no URL"
    return "it has a fragment, which is never sent" if parts.fragment else ""


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """A header of a request."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+\Z")]
    """Name of a header of every request to it, such as `Authorization`. Default: required."""
    file: File = ""
    """File with its value, which is read again for every request; only over https; either this or a value. Default: none."""
    value: Annotated[str, Meta(max_length=1024)] = ""
    """Its value, where that is no secret. Default: none."""

    def __post_init__(self) -> None:
        """Raise ValueError where it is none, or one of the request's own."""
        if self.name.lower() in RESERVED:
            raise ValueError(f"the header {self.name} is set by the request itself")
        if bool(self.file) == bool(self.value):
            raise ValueError("a header needs either file or value")
        if not all(" " <= c <= "~" for c in self.value):
            raise ValueError("the value has characters that no header has")  # without it: somebody may have put a secret here


class Authorities(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all receivers over HTTP have."""

    headers: Annotated[tuple[Header, ...], Meta(max_length=16)] = ()
    ca: File = ""
    """Certificates in PEM that its own is verified with. Default: those of the system."""
    least: Severity = "info"
    """The least severity that it is told: `info`, `warning` or `critical`. Default `info`."""

    def secret(self) -> bool:
        """Whether what is sent has something secret in it."""
        return any(header.file for header in self.headers)


class Alertmanager(Authorities, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Alertmanagers that all get every alert, as Prometheus would send it; those of one cluster tell it once."""

    urls: Annotated[tuple[Url, ...], Meta(max_length=8)] = ()
    """Base URLs of Alertmanagers, such as `http://alertmanager.monitoring:9093`; each is sent every alert, as Prometheus would.
    Default: none."""

    def __post_init__(self) -> None:
        """Raise ValueError where an URL is none."""
        for url in self.urls:
            complaint = url_complaint(url)
            if complaint or "?" in url:
                raise ValueError(f"urls: {complaint or 'it has a query, and the path of the API comes after it'}")
            if self.secret() and not url.startswith("https:"):
                raise ValueError("urls: what is in a file is secret, and goes over https only")
        if len(set(self.urls)) != len(self.urls):
            raise ValueError("urls: one stands twice")


class Webhook(Authorities, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A URL that gets one POST for every incident, and one when it is over."""

    name: Name
    """Name of this receiver, in metrics and in the log. Default: required."""
    url: Url = ""
    """URL that gets a POST for each incident, and another when it is over; either this or a file. Default: none."""
    url_file: File = ""
    """File with the URL, where that is a secret, as it is of a chat; read again for every request, and must be https.
    Default: none."""
    body: Tree = None
    """What is sent, in YAML, with places such as `{{ sentence }}` in its texts; docs/alerts.md has them all. Default: all
    that is known."""
    escape: Literal["none", "html"] = "none"
    """`html` where what is told is shown as HTML or as Slack's markup, so that no name in it becomes a link or a mention.
    Default `none`."""
    resolved: bool = True
    """Whether it is also told when an incident is over. Default `true`."""

    def __post_init__(self) -> None:
        """Raise ValueError where it has no URL, or the body is no template."""
        if bool(self.url) == bool(self.url_file):
            raise ValueError("a webhook needs either url or url_file")
        complaint = url_complaint(self.url) if self.url else ""
        if complaint:
            raise ValueError(f"url: {complaint}")
        if self.secret() and self.url and not self.url.startswith("https:"):
            raise ValueError("url: what is in a file is secret, and goes over https only")
        try:
            self.template()
        except ValueError as error:
            raise ValueError(f"body: {error}") from None

    def template(self) -> Template:
        """What is sent; raises ValueError where the body is no template."""
        return Template({name: f"{{{{ {name} }}}}" for name in VALUES} if self.body is None else self.body, VALUES)

    def secret(self) -> bool:
        """Whether what is sent has something secret in it."""
        return bool(self.url_file) or Authorities.secret(self)


class Notify(Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    alertmanager: Alertmanager = Alertmanager()
    webhooks: Annotated[tuple[Webhook, ...], Meta(max_length=16)] = ()
    events: bool = False
    """Whether an incident is also said as a Kubernetes Event at the node, service or namespace that it is about; in a cluster
    only. Default `false`."""
    cluster: Annotated[str, Meta(max_length=128, pattern=r"^[ -~]*\Z")] = ""
    """Name of this cluster, which becomes a label where there is one. Default: none."""
    external_url: Url = ""
    """Where people reach the operator port, which notifications then link to. Default: none."""
    runbooks: Url = ""
    """What the name of an alert is appended to for its runbook. Default: `docs/runbooks/` below `external_url`, which the
    collector serves itself."""
    resend: Duration = Duration(60 * SECOND)
    """How often Alertmanager is told of an incident that goes on, 10s to 10m; not told for four times as long, it takes it for
    over. Default `1m`."""
    timeout: Duration = Duration(10 * SECOND)
    """How long a receiver may take, 1s to 60s. Default `10s`."""
    loopback: bool = False
    """Whether a receiver may be on the collector's own machine, at a loopback address. Default `false`."""

    def __post_init__(self) -> None:
        """Raise ValueError where a duration is out of its range, a name stands twice or an URL is none."""
        if not 10 * SECOND <= self.resend <= 600 * SECOND:
            raise ValueError(f"resend must be 10s to 10m, not {self.resend}")
        if not SECOND <= self.timeout <= 60 * SECOND:
            raise ValueError(f"timeout must be 1s to 60s, not {self.timeout}")
        names = [webhook.name for webhook in self.webhooks]
        if len(set(names)) != len(names):
            raise ValueError("two webhooks have one name")
        if any(name == "events" or name.startswith("alertmanager/") for name in names):
            raise ValueError("a webhook has a name that is taken")
        self._check_hosts()
        for field, url in (("external_url", self.external_url), ("runbooks", self.runbooks)):
            if url and url_complaint(url):
                raise ValueError(f"{field}: {url_complaint(url)}")

    def _check_hosts(self) -> None:
        """A first look: the address that a name leads to is looked at when it is connected to."""
        urls = [(f"alertmanager.urls[{place}]", url) for place, url in enumerate(self.alertmanager.urls)]
        urls += [(f"webhooks[{place}].url", one.url) for place, one in enumerate(self.webhooks) if one.url]
        for field, url in urls:
            denied = _denied(urlsplit(url).hostname or "", loopback=self.loopback)
            if denied:
                raise ValueError(f"{field}: nothing is sent there: {denied}")


def shown(notify: Notify) -> object:
    """The same for people who may read but not configure: without URLs, but their hosts, and without values of headers."""
    return {
        "alertmanager": {"urls": [_host(url) for url in notify.alertmanager.urls], "least": notify.alertmanager.least},
        "webhooks": [
            {"name": one.name, "url": _host(one.url), "least": one.least, "resolved": one.resolved} for one in notify.webhooks
        ],
        "events": notify.events,
        "cluster": notify.cluster,
        "external_url": notify.external_url,
        "runbooks": notify.runbooks,
        "resend": str(notify.resend),
        "timeout": str(notify.timeout),
        "loopback": notify.loopback,
    }


def _denied(host: str, *, loopback: bool) -> str | None:
    try:
        return denied_address(host, loopback=loopback)
    except ValueError:
        return None if loopback and host == "localhost" else host_complaint(host)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" if url else "in a file"

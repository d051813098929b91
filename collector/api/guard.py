"""What every answer of the operator port has in common: who may ask, in which words, and what a browser may do with it.

No GET changes anything, and there is no login unless one is configured. So the two things to keep out are a web page that
reaches a forwarded port under a name of its own (DNS rebinding), and a browser that takes an answer for what it is not.
"""

import re
from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from collector.api.question import QuestionError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(NamedTuple):
    """Why a request is not answered."""

    word: str
    """For the counter."""
    status: int
    sentence: str
    exists: tuple[str, ...] = ()
    """What could be asked for instead."""


HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "netmatrix",  # and not which library of which version
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MAX_URL: Final = 4096
ACTIONS: Final = "/api/v1/actions/"
"""Under which something can be done, by POST, by whoever has a token in the body."""
SITE: Final = "Sec-Fetch-Site"
"""What a browser says, besides Origin, wherever a page sends a POST (Fetch Metadata, section 2.4)."""

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_own_name = re.compile(rf"{_LABEL}|({_LABEL}\.)+(svc|svc\.cluster\.local)|({_LABEL}\.)*localhost")


def is_own_host(host: str, configured: Collection[str] = ()) -> bool:
    """Whether a Host header is an address, a name that only resolves inside the cluster, or one that was configured.

    Not the name of a service followed by any domain: whoever owns that domain could be the attacker.
    """
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", host)
    if match is None:
        return False
    name = match[1].strip("[]").lower().removesuffix(".")
    if name in configured or _own_name.fullmatch(name):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def json_response(value: object, *, status: int = 200) -> web.Response:
    """A value as JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def guarded(hosts: Collection[str], refused: Callable[[str], None], *, acting_page: bool = False) -> Middleware:
    """A middleware that lets GET, HEAD and actions under an own name through, and turns errors into one JSON sentence.

    `refused` is told the reason of each refusal, a word of a closed list. With `acting_page` our own page may act; else no
    page of a browser may.
    """
    own = frozenset(host.lower() for host in hosts)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = _refusal(request, own, acting_page=acting_page) or await _answer(request, handler)
        if not isinstance(answer, web.StreamResponse):
            refusal = answer
            refused(refusal.word)
            said = {"error": refusal.sentence, **({"exists": refusal.exists} if refusal.exists else {})}
            answer = json_response(said, status=refusal.status)
            if refusal.word == "method":
                answer.headers[hdrs.ALLOW] = "GET, HEAD"
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)  # the page has a policy of its own
        return answer

    return guard


def _refusal(request: web.Request, own: Collection[str], *, acting_page: bool) -> Refusal | None:
    """Why a request is not even looked at."""
    acts = request.method == hdrs.METH_POST and request.path.startswith(ACTIONS)
    if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD} and not acts:
        return Refusal("method", 405, "only GET and HEAD are answered here")
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) > 1 or any(not is_own_host(host, own) for host in hosts):
        return Refusal("host", 421, "this name is not one that the collector answers to")
    if len(request.raw_path) > MAX_URL:
        return Refusal("url", 414, f"a URL has at most {MAX_URL} characters")
    return _refusal_of_action(request, acting_page=acting_page) if acts else _refusal_of_body(request)


def _refusal_of_body(request: web.Request) -> Refusal | None:
    return Refusal("body", 400, "a request has no body here") if request.can_read_body else None


def _refusal_of_action(request: web.Request, *, acting_page: bool) -> Refusal | None:
    if _of_a_browser(request) and not (acting_page and _of_our_page(request)):
        return Refusal("origin", 403, "no page of a browser has anything done here")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        return Refusal("encoding", 415, "a body is JSON as it is")
    return None


def _of_a_browser(request: web.Request) -> bool:
    return hdrs.ORIGIN in request.headers or SITE in request.headers


def _of_our_page(request: web.Request) -> bool:
    """Whether the page that sends this came from here.

    A browser says so in a header that no page can set; over plain HTTP under a name it does not, and the origin decides. The
    type is one that another page must ask leave to send, which nobody here gives.
    """
    if request.content_type != "application/json":
        return False
    if SITE in request.headers:
        return request.headers.getall(SITE) == ["same-origin"]
    return request.headers.getall(hdrs.ORIGIN) in ([f"http://{request.host}"], [f"https://{request.host}"])


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse | Refusal:
    try:
        return await handler(request)
    except QuestionError as error:
        return Refusal("question", error.status, str(error), error.exists)
    except web.HTTPException as error:
        return Refusal(
            "path",
            error.status,
            "there is no such page; see /api/v1/matrix, picture, pair, worst, history, agents, plan, self, incidents",
        )

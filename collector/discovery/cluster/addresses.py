"""Which addresses of the cluster's objects may be probed. Pure; and remembered, since every change looks at the same ones."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from collector.denied import address_complaint

MAX_ADDRESSES = 16
"""Most addresses of one owner, as many as a plan's identity takes."""
_REMEMBERED = 50_000
_LONGEST = 64
"""In characters, of an address with a zone index; whatever is longer is none, and is not remembered either."""


def checked(text: str, *, link_local: bool = False) -> tuple[str, str | None]:
    """An address in its shortest form, and None; or the address as it is, and in a sentence why it is never probed."""
    if len(text) > _LONGEST:
        return text[:_LONGEST], "not an IP address"
    return _checked(text, link_local=link_local)


@lru_cache(maxsize=_REMEMBERED)
def _checked(text: str, *, link_local: bool) -> tuple[str, str | None]:
    complaint = address_complaint(text, link_local=link_local)
    return (text, complaint) if complaint else (str(ip_address(text)), None)


def usable(addresses: Iterable[str], *, link_local: bool = False) -> tuple[tuple[str, ...], list[str]]:
    """Those that may be probed, each once and in their shortest form, and a sentence on each of the others."""
    good: dict[str, None] = {}
    wrong: list[str] = []
    for text in addresses:
        address, complaint = checked(text, link_local=link_local)
        if complaint:
            wrong.append(complaint)
        else:
            good[address] = None
    return tuple(good)[:MAX_ADDRESSES], wrong

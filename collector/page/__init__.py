"""The page that people look at: files that are served as they are, and what a browser may do with them.

In: the files of `static`, read once. Out: for each path its bytes, plain and compressed, its type, and a tag that changes with
its content. Nothing here comes from anywhere else: no build, no other host.
"""

import gzip
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Content type by ending; a file with another ending is none of the page."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: scripts and data from this collector alone, and no other page around it."""


class Asset(NamedTuple):
    """One file."""

    body: bytes
    compressed: bytes
    type: str
    tag: str
    """Entity tag (RFC 9110 section 8.8.3)."""


def assets() -> dict[str, Asset]:
    """The files by their path below the page, such as `views/pair.js`; the page itself is the empty path."""
    found = dict(_below(files(__name__) / "static", ""))
    found[""] = found.pop("index.html")
    return found


def runbooks() -> dict[str, str]:
    """The pages on what to do, by the name of their alert; of a checkout those of its docs."""
    folder: Traversable = files(__name__) / "runbooks"
    if not folder.is_dir():
        folder = Path(__file__).parents[2] / "docs" / "runbooks"
    pages = sorted(folder.iterdir(), key=lambda one: one.name) if folder.is_dir() else []
    return {page.name.removesuffix(".md"): page.read_text("utf-8") for page in pages if page.name.endswith(".md")}


def _below(folder: Traversable, path: str) -> list[tuple[str, Asset]]:
    result: list[tuple[str, Asset]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            result += _below(entry, f"{path}{entry.name}/")
        elif kind := TYPES.get("." + entry.name.rpartition(".")[2]):
            body = entry.read_bytes()
            tag = f'"{blake2b(body, digest_size=8).hexdigest()}"'
            result.append((path + entry.name, Asset(body, gzip.compress(body, 9, mtime=0), kind, tag)))
    return result

"""Where a document leads, there is something: a file, a heading in it, a picture, and no host but those that are meant."""

import struct
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.documents.shown import DOCUMENTS, anchors, file_of, links, slug
from tests.rules.tree import ROOT, named

OURS = {"127.0.0.1", "localhost"}
"""Of a demo or a port that is forwarded: the tests of commands ask them."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(document: Path) -> None:
    for link in links(document):
        if urlsplit(link.text).scheme:
            continue
        file, _, anchor = link.text.partition("#")
        there = file_of(link.text, document)
        assert there.exists(), f"{link.place}: there is no {file}"
        assert there.is_relative_to(ROOT), f"{link.place}: {file} is outside of the project"
        assert not anchor or anchor in anchors(there), f"{link.place}: {named(there)} has no heading for #{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_what_leads_elsewhere_is_an_address_over_tls_or_one_of_ours(document: Path) -> None:
    """No test can ask for it, since none leaves the machine; what is plain or has no host is wrong anyway."""
    for link in links(document):
        parts = urlsplit(link.text)
        assert not parts.scheme or parts.hostname in OURS or (parts.scheme == "https" and parts.hostname), link.place


def test_every_picture_is_shown_somewhere_and_is_a_picture() -> None:
    shown = {file_of(link.text, document) for document in DOCUMENTS for link in links(document) if link.text.endswith(".png")}
    assert shown == set((ROOT / "docs").rglob("*.png"))
    for file in shown:
        head = file.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n", file
        assert min(struct.unpack("!II", head[16:24])) > 100, f"{named(file)} is too small to show anything"


def test_every_document_can_be_reached_from_the_readme() -> None:
    """By links alone: what nobody finds might as well not be written."""
    found, left = set(), [ROOT / "README.md"]
    while left:
        document = left.pop()
        if document in found:
            continue
        found.add(document)
        targets = [file_of(link.text, document) for link in links(document) if not urlsplit(link.text).scheme]
        left += [target for target in targets if target.suffix == ".md" and target.exists()]
    assert set(DOCUMENTS) - found == set()


def test_a_heading_is_linked_to_as_it_is_on_github() -> None:
    assert slug("Where clusters differ") == "where-clusters-differ"
    assert slug("Long packets: the layer `mtu`") == "long-packets-the-layer-mtu"
    assert slug("What it costs, and how exact it is") == "what-it-costs-and-how-exact-it-is"

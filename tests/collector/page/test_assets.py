import gzip
import re

import pytest

from collector.page import POLICY, TYPES, assets

MOST_COMPRESSED = 120_000


def test_the_page_with_all_that_belongs_to_it_is_small() -> None:
    assert sum(len(asset.compressed) for asset in assets().values()) <= MOST_COMPRESSED


@pytest.mark.parametrize("path", sorted(assets()))
def test_a_file_is_whole_typed_and_tagged(path: str) -> None:
    asset = assets()[path]
    assert asset.body
    assert gzip.decompress(asset.compressed) == asset.body
    assert asset.type in TYPES.values()
    assert re.fullmatch(r'"[0-9a-f]{16}"', asset.tag)


@pytest.mark.parametrize("path", sorted(assets()))
def test_a_file_names_no_other_host_and_makes_no_markup_of_data(path: str) -> None:
    text = assets()[path].body.decode()
    hosts = re.findall(r"https?://([a-z0-9.-]+)", text)
    assert set(hosts) <= {"www.w3.org"}  # the name of SVG's namespace, which nobody asks
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser"):
        assert way not in text


def test_nothing_in_the_page_needs_what_its_policy_forbids() -> None:
    text = assets()[""].body.decode()
    assert "style=" not in text
    assert not re.search(r"\son[a-z]+=", text)
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", text))
    assert "unsafe" not in POLICY


def test_every_module_that_is_imported_is_served() -> None:
    files = assets()
    for path, asset in files.items():
        if path.endswith(".js"):
            for name in re.findall(r'from "([^"]+)"', asset.body.decode()):
                folder = path.rpartition("/")[0]
                parts = [part for part in (*folder.split("/"), *name.split("/")) if part not in {"", "."}]
                while ".." in parts:
                    at = parts.index("..")
                    del parts[max(0, at - 1) : at + 1]
                assert "/".join(parts) in files, (path, name)

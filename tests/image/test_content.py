"""What scripts/image-content takes away is what the code does without."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules.tree import modules, named

KEPT = ("kubernetes.aio.client.api_client", "kubernetes.aio.client.configuration", "kubernetes.aio.client.exceptions")
KEPT_BELOW = "kubernetes.aio.config."


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("module", modules("agent", "collector", "wire"), ids=named)
def test_no_module_uses_the_models_of_the_kubernetes_client(module: Path) -> None:
    """They are 60 MB on disk, and 100 MiB in memory once one of the large interfaces is touched."""
    used = {name for name in imports(module) if name.split(".")[0] == "kubernetes"}
    assert {name for name in used if name not in KEPT and not name.startswith(KEPT_BELOW)} == set()

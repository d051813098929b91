"""The control plane that the tests of one worker share; where it cannot be made, the reason."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import programs
from tests.cluster.kubectl import Kubectl
from tests.cluster.plane import Plane


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the control plane, before anything is chosen by its marks."""
    for item in items:
        if "plane" in getattr(item, "fixturenames", ()):  # any other fixture of a plane asks for this one
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane without nodes. Tests use namespaces and node names of their own, and leave no node behind."""
    try:
        folder = programs.folder()
    except programs.MissingError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    with Plane(folder, tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture(scope="module")
def own_plane(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane for the tests of one module, which need the whole of it: all nodes, or namespaces of netmatrix's own."""
    with Plane(plane.programs, tmp_path_factory.mktemp("own-plane")) as own:
        yield own


@pytest.fixture
def kubectl(plane: Plane) -> Kubectl:
    """The administrator's."""
    return Kubectl(plane)

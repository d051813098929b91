import os

import pytest

from lab import cgroups
from lab.shape import Shape
from lab.topology import Topology

pytestmark = pytest.mark.lab


def test_an_agents_limit_is_set_and_lifted_and_its_group_goes_with_the_lab() -> None:
    topology = Topology.of(Shape(nodes=1, zones=1), f"t{os.getpid()}c")
    pod = topology.agent_on("n1")
    if cgroups.root() is None:
        pytest.skip("this machine lets us make no control group")
    group = cgroups.make(pod)
    try:
        assert group is not None
        limits = group / ("cpu.max" if (group / "cpu.max").exists() else "cpu.cfs_quota_us")
        free = limits.read_text()
        for percent, quota in ((50, "50000"), (0.3, "3000")):
            cgroups.limit(pod, percent)
            assert limits.read_text().split()[0] == quota
        cgroups.limit(pod, None)
        assert limits.read_text() == free
    finally:
        cgroups.remove(topology.lab)
    assert not group.exists()

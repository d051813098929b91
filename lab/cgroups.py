"""How much CPU an agent may use: each has a control group of its own, as in a pod, where this machine lets us make one.

The groups of a lab are found by its name alone, and are removed when their processes have ended.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from lab.topology import Pod, netns_prefix

_ROOTS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
_PERIOD_US = 100_000
_LONG_PERIOD_US = 1_000_000
"""For limits below a hundredth of a core, since no quota may be less than a millisecond."""
_GIVE_UP_AFTER = 2.0


def root() -> Path | None:
    """Where groups with a CPU limit can be made, in version 1 or 2 of the kernel's interface; None where they cannot."""
    for place in _ROOTS:
        controllers = place / "cgroup.subtree_control"
        limits = place.joinpath("cpu.cfs_quota_us").exists() or (controllers.exists() and "cpu" in controllers.read_text())
        if limits and os.access(place, os.W_OK):
            return place
    return None


def make(pod: Pod) -> Path | None:
    """The group of a pod; None where there can be none."""
    place = root()
    if place is None:
        return None
    group = place / pod.netns
    try:
        group.mkdir(exist_ok=True)
    except OSError:
        return None
    return group


def limit(pod: Pod, percent: float | None) -> None:
    """Let a pod use so many percent of a core, or all that there is; raises OSError where it has no group."""
    place = root()
    group = (place or _ROOTS[0]) / pod.netns
    period = _PERIOD_US if percent is None or percent >= 1 else _LONG_PERIOD_US
    quota = round(period * percent / 100) if percent is not None else None
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{quota or 'max'} {period}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(period))
        (group / "cpu.cfs_quota_us").write_text(str(quota or -1))


def remove(lab: str) -> None:
    """Remove the groups of a lab, of which no process runs any more."""
    place = root()
    deadline = time.monotonic() + _GIVE_UP_AFTER
    for group in place.glob(f"{netns_prefix(lab)}*") if place else ():
        while group.exists():
            with suppress(OSError):  # a process that has just ended is still in it for a moment
                group.rmdir()
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)

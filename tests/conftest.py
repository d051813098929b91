"""What all tests share: where a test cannot run it says why in one sentence, and in CI that is a failure."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from functools import cache

import pytest
from hypothesis import HealthCheck, settings
from pluggy import Result

from agent import kernel

# No deadline, since a test must not depend on the speed of the machine; in CI the same examples each time.
settings.register_profile(
    "netmatrix",
    max_examples=25,
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("netmatrix")

TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""Commands that tests marked `lab` use, and the Debian package of each."""


@cache
def what_the_lab_lacks() -> str:
    """Why no network namespace can be built here, in one sentence; empty where it can."""
    if os.geteuid() != 0:
        return "needs root, to build network namespaces"
    missing = [f"{tool} (package {package})" for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        return f"needs {', '.join(missing)}"
    made = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return (
        "" if made.returncode == 0 else f"needs network namespaces, which this machine refuses: {made.stderr.decode().strip()}"
    )


@pytest.fixture(scope="session", autouse=True)
def _the_kernel_stamps_packets() -> Generator[None]:
    """Hold a stamping socket open while tests run, and begin when the kernel stamps.

    It starts to do so some time after the first such socket of the machine has opened, and stops after the last has closed.
    """
    with kernel.stamped(socket.AF_INET, socket.SOCK_DGRAM, 0, kernel.TransmitMatch.PACKET) as sock:
        sock.bind(("127.0.0.1", 0))
        for _ in range(500):
            sock.sendmsg([b"?"], [], 0, sock.getsockname())
            ancillary = sock.recvmsg(100, kernel.ANCILLARY_BYTES)[1]
            sock.recvmsg(100, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
            if kernel.heard(ancillary).stamp_ns:
                break
            time.sleep(0.01)
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") and what_the_lab_lacks():
        pytest.skip(what_the_lab_lacks())


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where CI=true: there, whatever is missing is to be installed."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Result[pytest.TestReport], None]:
    result = yield
    refuse_skip(result.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Generator[None, Result[pytest.CollectReport], None]:
    result = yield
    refuse_skip(result.get_result())

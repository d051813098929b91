"""Runs inside of the image, as its user, in a network namespace of its own: starts both programs and prints what became of it.

/mnt has the collector's files. The last line of the output is JSON.
"""

import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60
AGENT = {
    "NETMATRIX_COLLECTOR": "http://127.0.0.1:8443",
    "NETMATRIX_TOKEN_FILE": "/mnt/token",
    "NETMATRIX_VANTAGE": "here",
}
COMMANDS = ("agent", "collector", "netmatrix", "kubectl-netmatrix")
COMPILERS = ("cc", "gcc", "c++", "clang", "tcc", "ld", "as", "make", "rustc", "go")
FOLDERS = ("/", "/opt/netmatrix", "/etc", "/var/tmp", "/tmp")  # noqa: S108 - each is tried


def ask(url: str) -> bytes:
    """A page, empty while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - of this file
            return bytes(answer.read())
    except OSError:
        return b""


def cells() -> list[Any]:
    """What the collector knows of paths that were answered."""
    matrix = json.loads(ask("http://127.0.0.1:8080/api/v1/matrix") or "{}")
    return [cell for cell in matrix.get("cells", ()) if cell["received"]]


def measured() -> list[Any]:
    """The cells, once both programs say that they are ready and every path was answered; else those of the last look."""
    until = time.monotonic() + PATIENCE_SECONDS
    found: list[Any] = []
    while time.monotonic() < until and len(found) < 2:
        time.sleep(0.1)
        if ask("http://127.0.0.1:8080/readyz") and ask("http://127.0.0.1:9620/readyz"):
            found = cells()
    return found


def written() -> list[str]:
    """Where a file can be made."""
    found = []
    for folder in FOLDERS:
        try:
            (Path(folder) / "trial").write_text("")
        except OSError:
            continue
        found.append(folder)
    return found


def not_imported() -> list[str]:
    """The modules of the programs that cannot be imported here, with the reason."""
    failed = []
    for package in ("wire", "agent", "collector"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if module.name.endswith(".__main__"):
                continue
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                failed.append(f"{module.name}: {error}")
    return failed


def main() -> int:
    """Start both, wait for a measurement, stop both."""
    collector = subprocess.Popen(["collector", "--inventory", "/mnt/inventory.yaml", "--config", "/mnt/config.yaml"])
    agent = subprocess.Popen(["agent"], env=os.environ | AGENT)
    found = measured()
    for program in (agent, collector):
        program.terminate()
    said = {
        "ended": [program.wait(PATIENCE_SECONDS) for program in (agent, collector)],
        "kinds": sorted({cell["kind"] for cell in found}),
        "timed": sorted({cell["timed"] for cell in found if cell["kind"] == "icmp"}),
        "user": [os.getuid(), os.getgid(), *os.getgroups()],
        "written": written(),
        "compilers": [name for name in COMPILERS if shutil.which(name)],
        "not_imported": not_imported(),
        "commands": [name for name in COMMANDS if not subprocess.call([name, "--help"], stdout=subprocess.DEVNULL)],
        "version": subprocess.run(["agent", "--version"], capture_output=True, text=True, check=False).stdout.strip(),
    }
    print(json.dumps(said))  # noqa: T201 - read by whoever started this
    return 0


if __name__ == "__main__":
    sys.exit(main())

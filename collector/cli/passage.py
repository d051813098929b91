"""The way to a collector inside a cluster: kubectl's own proxy, with the user's own context.

In: what kubectl is told (context, kubeconfig) and where the collector is. Out: a Unix socket in a folder of ours, behind which
the API server's service proxy is, and of the API server nothing that was not asked for. A socket and no port: nobody else on
this machine can use the user's rights meanwhile. This process has no Kubernetes client, no credentials and no forwarded port.
"""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

NAMESPACE: Final = "netmatrix"
SERVICE: Final = "netmatrix-collector"
PORT: Final = "http-metrics"
ACCOUNT: Final = "netmatrix-operator"
"""ServiceAccount whose tokens those ask for who want something done."""
AUDIENCE: Final = "netmatrix-collector"
LIFE: Final = "10m"
"""How long a token is good for: the shortest that there is."""
POLL_SECONDS: Final = 0.01


class PassageError(Exception):
    """kubectl does not open the way; one sentence."""


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket. The Host header says localhost, which is what kubectl's proxy takes."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket; raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def service_path(namespace: str) -> str:
    """Where the API server proxies to the collector's operator port (Kubernetes API, `services/proxy`)."""
    return f"/api/v1/namespaces/{namespace}/services/http:{SERVICE}:{PORT}/proxy"


@contextmanager
def opened(*, namespace: str, flags: tuple[str, ...], timeout: float, paths: tuple[str, ...] = ()) -> Iterator[Path]:
    """The socket, for as long as the context lasts; `flags` are kubectl's own. Raises PassageError.

    `paths` are regular expressions without commas of what else of the API server is let through.
    """
    program = _kubectl()
    with tempfile.TemporaryDirectory(prefix="netmatrix-") as folder:
        path = Path(folder) / "s"  # short: the name of a Unix socket has at most 107 bytes
        only = ",".join((f"^{re.escape(service_path(namespace))}/", *paths))
        words = [program, *flags, "proxy", f"--unix-socket={path}", f"--accept-paths={only}"]
        proxy = subprocess.Popen(  # noqa: S603 - kubectl, with the user's own flags
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        with proxy:
            try:
                _wait(proxy, path, timeout)
                yield path
            finally:
                proxy.terminate()


def token(*, namespace: str, flags: tuple[str, ...], account: str, timeout: float) -> str:
    """A token for the collector alone, of a ServiceAccount in its namespace, good for ten minutes. Raises PassageError."""
    words = ["create", "token", account, f"--namespace={namespace}", f"--audience={AUDIENCE}", f"--duration={LIFE}"]
    try:
        made = subprocess.run(  # noqa: S603 - kubectl, with the user's own flags
            [_kubectl(), *flags, *words], capture_output=True, text=True, check=False, timeout=timeout, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise PassageError(f"kubectl made no token within {timeout:g} s") from None
    if made.returncode:
        raise PassageError(f"kubectl: {_said(made.stderr)}")
    return made.stdout.strip()


def _kubectl() -> str:
    program = shutil.which("kubectl")
    if program is None:
        raise PassageError("kubectl is not installed, so say where the collector is: --server URL, or NETMATRIX_SERVER")
    return program


def _said(errors: str) -> str:
    said = errors.strip().splitlines()
    return said[-1].removeprefix("error: ") if said else "ended without a word"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True


def _wait(proxy: "subprocess.Popen[bytes]", path: Path, timeout: float) -> None:
    until = time.monotonic() + timeout
    while not _listens(path):  # and not only exists: it has its name before anybody listens
        if proxy.poll() is not None:
            assert proxy.stderr is not None  # noqa: S101 - it was asked for
            raise PassageError(f"kubectl: {_said(proxy.stderr.read(4096).decode(errors='replace'))}")
        if time.monotonic() > until:
            raise PassageError(f"kubectl did not begin to serve within {timeout:g} s")
        time.sleep(POLL_SECONDS)

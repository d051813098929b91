"""A real control plane for tests: etcd, kube-apiserver and kube-controller-manager, on free ports of 127.0.0.1.

Nothing of it is a stand-in. What it lacks is a scheduler and kubelets: tests play those, see `kubelet`.
"""

import base64
import http.client
import json
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self, TypeVar

from tests.cluster.api import Api, Object, RefusedError
from tests.cluster.child import Child
from tests.cluster.credentials import ADMINISTRATORS, Credentials

T = TypeVar("T")
SERVICE_NETWORKS = ("10.96.0.0/16", "fd96::/108")
"""Where the addresses of Services are from, as in the lab."""
NAMES = ("127.0.0.1", "localhost", "10.96.0.1", "fd96::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ISSUER = "https://kubernetes.default.svc.cluster.local"
ADMINISTRATOR = "administrator"

_CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "taint-eviction-controller",
)
"""Those that make what a workload is made of. None that judges nodes by heartbeats, which nobody sends here."""
_AUDITED: Object = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:netmatrix", "system:serviceaccounts:shop"]},
        {"level": "None"},
    ],
}
"""What is asked by accounts of netmatrix's namespace, and of that with a vantage in the tests."""
_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to outgoing connections (ip_local_port_range), so that a restart finds its port free."""
_GRACE_SECONDS = 2.0
"""For the API server, which would wait a minute for the controllers to go."""
_POLL = 0.05


class Plane:
    """A control plane in `folder`, from the programs in `programs`; a context that ends what it has started."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._audit = folder / "audit.log"
        (folder / "audit.json").write_text(json.dumps(_AUDITED))
        self.port = _free_port()
        self._etcd_port = _free_port()
        self.credentials = Credentials(folder, f"127.0.0.1:{self.port}", list(NAMES))
        self.kubeconfig = self.credentials.user(ADMINISTRATOR, ADMINISTRATORS)
        """Of somebody who may do everything."""
        self.etcd = self._child("etcd", **self._etcd_flags())
        self.api_server = self._child("kube-apiserver", **self._api_server_flags())
        self.controllers = self._child("kube-controller-manager", **self._controllers_flags())
        self._clients: list[Api] = []
        self.api = self.client()

    @property
    def url(self) -> str:
        """Of the API server, from this machine."""
        return f"https://127.0.0.1:{self.port}"

    def client(self, *, token: str = "", patience: float = 30.0) -> Api:
        """Somebody who may do everything, or whoever a token is for, with a connection of its own until the plane ends."""
        client = Api(self.url, self.credentials.context("" if token else ADMINISTRATOR), token=token, patience=patience)
        self._clients.append(client)
        return client

    def __enter__(self) -> Self:
        """Start all of it; raises RuntimeError or TimeoutError, with what a program said, where that fails."""
        try:
            self.etcd.start(self._has_etcd)
            self._start_api_server()
            self._start_controllers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all of it."""
        for client in self._clients:
            client.close()
        for child in (self.controllers, self.api_server, self.etcd):
            child.stop(how=signal.SIGKILL)

    def restart_api_server(self, *, how: signal.Signals = signal.SIGTERM) -> None:
        """End the API server and start it again at the same address: its watch caches begin anew."""
        self.api_server.stop(patience=_GRACE_SECONDS, how=how)
        self._start_api_server()
        self._restart_controllers()

    @contextmanager
    def without_api_server(self) -> Iterator[None]:
        """Nobody listens at the API server's address."""
        self.api_server.stop(patience=_GRACE_SECONDS)
        try:
            yield
        finally:
            self._start_api_server()
            self._restart_controllers()

    @contextmanager
    def paused_api_server(self) -> Iterator[None]:
        """The API server takes connections and says nothing: the process stands still."""
        self.api_server.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.api_server.send(signal.SIGCONT)
            self._restart_controllers()

    def forget_history(self) -> None:
        """Have etcd forget all but the present, and the API server its caches: whoever asks for older gets 410.

        The API server is restarted, since it would answer from its memory.
        """
        header = self._etcd("POST", "/v3/kv/range", {"key": base64.b64encode(b"any").decode()})["header"]
        self._etcd("POST", "/v3/kv/compaction", {"revision": header["revision"], "physical": True})
        self.restart_api_server()

    def asked(self, *accounts: str) -> list[Object]:
        """What these ServiceAccounts, each a `NAMESPACE:NAME`, have asked the API server so far: from its audit log."""
        users = {f"system:serviceaccount:{account}" for account in accounts}
        if not self._audit.exists():
            return []
        lines = self._audit.read_text().splitlines()
        return [entry for line in lines if (entry := json.loads(line))["user"]["username"] in users]

    def _etcd(self, method: str, path: str, question: object = None) -> Object:
        # etcd's gRPC gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd_port, timeout=30)
        with closing(connection):
            connection.request(method, path, json.dumps(question))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.client.OK:
                raise OSError(f"etcd says {answer.status} to {path}: {text.decode(errors='replace')}")
        found: Object = json.loads(text) if method == "POST" else {}
        return found

    def _has_etcd(self) -> bool:
        try:
            self._etcd("GET", "/readyz")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _start_api_server(self) -> None:
        self.api.close()
        self.api_server.start(self._is_ready)

    def _start_controllers(self) -> None:
        self.controllers.start(lambda: bool(self.api.items("/api/v1/namespaces/default/serviceaccounts")))

    def _restart_controllers(self) -> None:
        """As they do who lost the API server and with it their lease.

        Those that stay wait up to a minute before they look again, each of their watches by itself, and longer each time.
        """
        self.controllers.stop(how=signal.SIGKILL)
        self._start_controllers()

    def _is_ready(self) -> bool:
        try:
            self.api.request("GET", "/readyz")
        except (OSError, RefusedError):
            return False
        return True

    def _child(self, program: str, **flags: object) -> Child:
        words = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        return Child([str(self.programs / program), *words], self._folder / f"{program}.log")

    def _etcd_flags(self) -> dict[str, object]:
        url = f"http://127.0.0.1:{self._etcd_port}"
        return {
            "data_dir": self._folder / "etcd",
            "listen_client_urls": url,
            "advertise_client_urls": url,
            "listen_peer_urls": "http://127.0.0.1:0",
            "unsafe_no_fsync": "true",
            "log_level": "warn",
        }

    def _api_server_flags(self) -> dict[str, object]:
        return {
            "etcd_servers": f"http://127.0.0.1:{self._etcd_port}",
            "etcd_compaction_interval": 0,  # history ends when a test says so
            "bind_address": "127.0.0.1",
            "secure_port": self.port,
            "endpoint_reconciler_type": "none",  # a loopback address would be refused as an endpoint
            "tls_cert_file": self._folder / "server.crt",
            "tls_private_key_file": self._folder / "server.key",
            "client_ca_file": self.credentials.authority,
            "audit_log_path": self._audit,
            "audit_policy_file": self._folder / "audit.json",
            "authorization_mode": "Node,RBAC",
            "service_account_issuer": ISSUER,
            "service_account_key_file": self._folder / "tokens.pub",
            "service_account_signing_key_file": self._folder / "tokens.key",
            "service_cluster_ip_range": ",".join(SERVICE_NETWORKS),
            "allow_privileged": "true",
            "profiling": "false",
        }

    def _controllers_flags(self) -> dict[str, object]:
        return {
            "kubeconfig": self.credentials.user("system:kube-controller-manager"),
            "controllers": ",".join(_CONTROLLERS),
            "use_service_account_credentials": "true",
            "service_account_private_key_file": self._folder / "tokens.key",
            "root_ca_file": self.credentials.authority,
            "leader_elect": "false",
            "secure_port": 0,
            "kube_api_qps": 500,
            "kube_api_burst": 1000,
        }


def eventually(found: Callable[[], T], *, patience: float = 60.0, what: str = "") -> T:
    """What `found` returns, once that is true. Raises AssertionError with the last it returned after so many seconds."""
    deadline = time.monotonic() + patience
    while not (result := found()):
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what or 'what was awaited'}; there is {result!r}"
        time.sleep(_POLL)
    return result


def _free_port() -> int:
    for port in random.sample(_PORTS, 100):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port on 127.0.0.1")

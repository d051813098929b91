"""An API server that has no time for one ServiceAccount: its priority level has a single seat, and that is taken.

The seat is taken by a list of some megabytes that nobody reads: a request has its seat until its answer is written.
"""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import TOO_MANY_REQUESTS, HTTPSConnection

from tests.cluster import tokens
from tests.cluster.api import Api, Object, RefusedError
from tests.cluster.plane import Plane, eventually

SPACE = "default"
_VERSION = "flowcontrol.apiserver.k8s.io/v1"
_FLOW = f"/apis/{_VERSION}"
_NAME = "turned-away"
_LARGE = f"/api/v1/namespaces/{SPACE}/configmaps"
_PIECES, _PIECE_BYTES = 16, 900_000
"""More than the buffers of two sockets hold; an object has at most a megabyte and a half."""
_RECEIVE_BYTES = 4096
_PATIENCE_SECONDS = 30.0


@contextmanager
def without_seats(plane: Plane) -> Iterator[None]:
    """Refuse everything that the account `default/default` asks for, by the API server's own priority and fairness.

    An API server ends a request after a minute: so long this lasts at most.
    """
    api = plane.api
    for number in range(_PIECES):
        large = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"large": "x" * _PIECE_BYTES}}
        api.apply(f"{_LARGE}/large-{number}", large)
    token = tokens.token(api, SPACE, "default")
    asking = plane.client(token=token)
    api.apply(f"{_FLOW}/prioritylevelconfigurations/{_NAME}", _level())
    schema = api.apply(f"{_FLOW}/flowschemas/{_NAME}", _schema())["metadata"]["uid"]
    try:
        eventually(lambda: _in_force(plane, token, schema), what="the level to be in force")
        with closing(_list(plane, token)):
            eventually(lambda: _is_refused(asking), what="the seat to be taken")
            yield
    finally:
        api.delete(f"{_FLOW}/flowschemas/{_NAME}")
        api.delete(f"{_FLOW}/prioritylevelconfigurations/{_NAME}")
        for number in range(_PIECES):
            api.delete(f"{_LARGE}/large-{number}")


def _level() -> Object:
    limited = {
        "nominalConcurrencyShares": 0,  # which leaves one seat
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    kind = "PriorityLevelConfiguration"
    return {"apiVersion": _VERSION, "kind": kind, "spec": {"type": "Limited", "limited": limited}}


def _schema() -> Object:
    subject = {"kind": "ServiceAccount", "serviceAccount": {"namespace": SPACE, "name": "default"}}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    spec = {
        "matchingPrecedence": 2,
        "priorityLevelConfiguration": {"name": _NAME},
        "rules": [{"subjects": [subject], "resourceRules": [everything]}],
    }
    return {"apiVersion": _VERSION, "kind": "FlowSchema", "spec": spec}


def _list(plane: Plane, token: str) -> HTTPSConnection:
    """A connection on which a list of all that is large was asked for."""
    connection = HTTPSConnection("127.0.0.1", plane.port, timeout=_PATIENCE_SECONDS, context=plane.credentials.context(""))
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    plain.settimeout(_PATIENCE_SECONDS)
    plain.connect(("127.0.0.1", plane.port))
    connection.sock = plane.credentials.context("").wrap_socket(plain, server_hostname="127.0.0.1")
    connection.request("GET", _LARGE, headers={"Authorization": f"Bearer {token}"})
    return connection


def _in_force(plane: Plane, token: str, schema: str) -> bool:
    """Whether requests of the account go by the schema of this UID."""
    with closing(_list(plane, token)) as connection:
        return connection.getresponse().headers["X-Kubernetes-PF-FlowSchema-UID"] == schema


def _is_refused(asking: Api) -> bool:
    try:
        asking.get("/api/v1/namespaces")
    except RefusedError as refused:
        return refused.status == TOO_MANY_REQUESTS
    return False

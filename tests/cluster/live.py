"""A whole cluster: the control plane is real, the network is a lab's, and nodes do what kubelets, runtimes and proxies do.

Pods come from the controllers, addresses and links from the lab, and every program runs as its manifest says.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from lab import namespaces
from lab.cluster import Cluster, demolish
from lab.roles import OPERATOR_PORT
from lab.shape import DNS_NAMESPACE, Shape
from tests.cluster.api import Object
from tests.cluster.kubelet import Kubelet, node
from tests.cluster.kubeproxy import rules
from tests.cluster.machines import Machines, fetch
from tests.cluster.plane import Plane, eventually
from tests.cluster.relay import relay

API_PORT = 6443
DOMAIN = "cluster.local"
SYSTEM = f"/api/v1/namespaces/{DNS_NAMESPACE}"


class LiveCluster:
    """A lab whose control plane is `plane`, from the time that `live` gives it until that is over."""

    def __init__(self, plane: Plane, shape: Shape, name: str, folder: Path) -> None:
        self.plane = plane
        self.lab = Cluster(shape, name)
        self.machines = Machines(plane.client(), self.lab, folder)
        self._proxied = ""
        self._api = plane.client()
        """For the thread that plays the nodes."""

    def open(self, stack: ExitStack) -> None:
        """Build the network and register the nodes; from then on, the nodes do their part until the stack is unwound."""
        topology = self.lab.topology
        stack.callback(demolish, topology.lab)
        stack.callback(self.lab.drops.close)
        self.lab._build()
        master = topology.nodes[0]
        stack.enter_context(relay(master.netns, list(master.addresses.values()), API_PORT, self.plane.port))
        for number, found in enumerate(topology.nodes):
            self.plane.api.create("/api/v1/nodes", self.node(found.name))
            if not number:
                self._publish_api_server(next(iter(found.addresses.values())))
        self._create_name_service()
        kubelet = Kubelet(
            self.plane.client(),
            addresses=self.machines.addresses,
            place=self.machines.place,
            begun=self.machines.begun,
            ended=self.machines.ended,
        )
        stack.enter_context(kubelet.playing(beside=self._beside))

    def node(self, name: str) -> Object:
        """A node of the lab, as its kubelet registers it."""
        found = self.lab.topology.node[name]
        return node(name, list(found.addresses.values()), zone=found.zone)

    def text(self, path: str) -> str:
        """What the collector's operator port answers to a GET, as its node hears it; raises OSError where it does not."""
        place = self.lab.topology.collector
        netns = self.lab.topology.node[place.node].netns
        status, content = fetch(netns, next(iter(place.addresses.values())), OPERATOR_PORT, path)
        if status != HTTPStatus.OK:
            raise OSError(f"{path}: {status} {content.decode(errors='replace')}")
        return content.decode()

    def post(self, path: str, body: Object) -> tuple[int, Any]:
        """The status and the content of what it answers to a POST, which may take a minute."""
        place = self.lab.topology.collector
        netns, address = self.lab.topology.node[place.node].netns, next(iter(place.addresses.values()))
        status, content = fetch(netns, address, OPERATOR_PORT, path, body=json.dumps(body).encode(), patience=60.0)
        return status, json.loads(content)

    def ask(self, path: str) -> Any:
        """The same of an answer in JSON."""
        return json.loads(self.text(path))

    def figures(self, name: str) -> dict[str, float]:
        """The collector's own samples of one metric, by their labels as they are written."""
        lines = (line.rpartition(" ") for line in self.text("/metrics").splitlines() if line.startswith(name))
        return {head.removeprefix(name): float(value) for head, _, value in lines}

    def _beside(self) -> None:
        self.machines.look_after()
        services, slices = (self._api.items(path) for path in ("/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"))
        self._name(services)
        if (wanted := rules(services, slices)) != self._proxied:
            for found in self.lab.topology.nodes:
                namespaces.load_rules(found.netns, wanted)
            self._proxied = wanted

    def _name(self, services: list[Object]) -> None:
        """What the name server knows. It reads that when it starts, so it is ended when that changes."""
        zone = {
            f"{found['metadata']['name']}.{found['metadata']['namespace']}.svc.{DOMAIN}": found["spec"].get("clusterIPs", [])
            for found in services
            if found["spec"].get("clusterIP") not in {None, "None"}
        }
        if outside := self.lab.topology.external:
            zone[outside.host] = list(outside.addresses.values())
        file, text = self.lab.directory / "zone.json", json.dumps(zone)
        if file.read_text() != text:
            file.write_text(text)
            namespaces.end_processes([place.netns for place in self.lab.topology.dns.backends])

    def _publish_api_server(self, address: str) -> None:
        self.plane.api.apply(
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"labels": {"kubernetes.io/service-name": "kubernetes"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
                "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
            },
        )

    def _create_name_service(self) -> None:
        service = self.lab.topology.dns
        (place,) = service.backends
        labels = {"k8s-app": "kube-dns"}
        addresses = list(service.addresses.values())
        self.plane.api.create(
            f"{SYSTEM}/services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "labels": labels},
                "spec": {
                    "selector": labels,
                    "clusterIP": addresses[0],
                    "clusterIPs": addresses,
                    "ipFamilyPolicy": "PreferDualStack",
                    "ports": [
                        {"name": "dns", "port": service.port, "protocol": "UDP"},
                        {"name": "dns-tcp", "port": service.port, "protocol": "TCP"},
                    ],
                },
            },
        )
        eventually(lambda: self.plane.api.items(f"{SYSTEM}/serviceaccounts"))
        self.plane.api.create(
            f"{SYSTEM}/pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "dns", "labels": labels},
                "spec": {"nodeName": place.node, "containers": [{"name": "dns", "image": "example.test/lab:1"}]},
            },
        )


@contextmanager
def live(plane: Plane, shape: Shape, name: str, folder: Path) -> Iterator[LiveCluster]:
    """A cluster that lives until the end of the block. Needs root and network namespaces, and a plane of its own."""
    with ExitStack() as stack:
        cluster = LiveCluster(plane, shape, name, folder)
        cluster.open(stack)
        yield cluster

"""Pods, workloads and services as their manifests describe them, as far as it matters for who reaches whom.

In: an object of a file. Out: a valid value, or one sentence with the path of what is wrong. Fields that nobody asks for are let
be, since there are many, and the API server knows them all.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from collector.document import refusal

Protocol = Literal["TCP", "UDP", "SCTP"]
Number = Annotated[int, Meta(ge=1, le=65535)]
T = TypeVar("T")


class Metadata(Struct, frozen=True):
    """What is used of an object's metadata."""

    name: str = ""
    namespace: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None

    @property
    def space(self) -> str:
        """Its namespace, or the one that kubectl takes where none is named."""
        return self.namespace or "default"


class _Port(Struct, frozen=True):
    number: Number = field(name="containerPort")
    protocol: Protocol = "TCP"
    name: str = ""


class _Container(Struct, frozen=True):
    ports: tuple[_Port, ...] | None = None
    restart: str = field(name="restartPolicy", default="")


class PodSpec(Struct, frozen=True):
    """What a pod consists of."""

    containers: tuple[_Container, ...] = ()
    first: tuple[_Container, ...] | None = field(name="initContainers", default=None)
    node: str = field(name="nodeName", default="")
    host_network: bool = field(name="hostNetwork", default=False)

    @property
    def ports(self) -> list[_Port]:
        """What its containers declare, those that begin first and go on running included."""
        lasting = (one for one in self.first or () if one.restart == "Always")
        return [port for container in (*self.containers, *lasting) for port in container.ports or ()]


class _Address(Struct, frozen=True):
    ip: str = ""


class PodStatus(Struct, frozen=True):
    """Of a pod that runs already."""

    phase: str = ""
    addresses: tuple[_Address, ...] | None = field(name="podIPs", default=None)

    @property
    def has_ended(self) -> bool:
        """Whether it is neither subject nor peer of any policy any more."""
        return self.phase in {"Succeeded", "Failed"}


class PodObject(Struct, frozen=True):
    """A pod."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Template(Struct, frozen=True):
    """What the pods of a workload are made after."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()


class _WorkloadSpec(Struct, frozen=True):
    template: Template = Template()
    replicas: Annotated[int, Meta(ge=0)] | None = None


class Workload(Struct, frozen=True):
    """A Deployment, or anything else that makes pods."""

    metadata: Metadata
    spec: _WorkloadSpec = _WorkloadSpec()


class _JobTemplate(Struct, frozen=True):
    spec: _WorkloadSpec = _WorkloadSpec()


class _CronSpec(Struct, frozen=True):
    job: _JobTemplate = field(name="jobTemplate", default=_JobTemplate())


class CronJob(Struct, frozen=True):
    """A workload of jobs."""

    metadata: Metadata
    spec: _CronSpec = _CronSpec()


class _ServicePort(Struct, frozen=True):
    port: Number
    protocol: Protocol = "TCP"
    name: str = ""
    target: Number | str | None = field(name="targetPort", default=None)


class _ServiceSpec(Struct, frozen=True):
    selector: Mapping[str, str] | None = None
    ports: tuple[_ServicePort, ...] | None = None
    addresses: tuple[str, ...] | None = field(name="clusterIPs", default=None)


class ServiceObject(Struct, frozen=True):
    """A service."""

    metadata: Metadata
    spec: _ServiceSpec = _ServiceSpec()


class Labelled(Struct, frozen=True):
    """Any object, of which only the metadata matters."""

    metadata: Metadata


WORKLOADS: Final = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController")


def read(content: Mapping[str, Any], type_: type[T]) -> T:
    """The value in an object; raises ValueError: `spec.ports[0].port: expected int <= 65535`."""
    try:
        return msgspec.convert(content, type_)
    except msgspec.ValidationError as error:
        raise refusal("", error, content) from None

"""Playing with a lab that runs on: building it, breaking and mending it, and changing its policies, from a command line."""

import argparse
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from lab import rootless
from lab.cluster import Cluster, labs
from lab.delays import lacking
from lab.demo import DEMO, demo_name
from lab.door import leave_open
from lab.ending import until_done
from lab.faults import Fault, parse
from lab.namespaces import processes
from lab.policies import Document, applied, deleted, name_of
from lab.reading import Refused, values
from lab.scenario import NotApplicable, Scenario, load

PLAYGROUND = "lab"
"""Name of the lab that `up` leaves running."""
RUNNING = "a lab is running already: `python -m lab down` removes it"
NOT_RUNNING = "no lab is running: `python -m lab up FILE` or `make demo` starts one"


def up(wish: argparse.Namespace) -> int:
    """Build the cluster of a scenario and leave it running."""
    scenario = load(wish.file)
    try:
        return until_done(_leave_running(scenario.on(wish.fabric or scenario.cluster.fabric)))
    except NotApplicable as reason:
        raise Refused(f"{wish.file}: not on fabric {wish.fabric}: {reason}") from None


async def _leave_running(scenario: Scenario) -> int:
    if PLAYGROUND in labs():
        raise Refused(RUNNING)
    outside = [int(door.getsockname()[1]) for door in rootless.doors()]
    cluster = Cluster(
        scenario.cluster,
        PLAYGROUND,
        scenario.plan_words,
        port=max(outside, default=0),
        policies=scenario.policies,
        expectations=scenario.expectations,
    )
    try:
        await cluster.up()
        await cluster.leave()
        leave_open(cluster)
    except BaseException:
        await cluster.down()
        raise
    print(_how_to_play(cluster), flush=True)
    return 0


def _how_to_play(cluster: Cluster) -> str:
    url = cluster.api_url
    pod = cluster.topology.vantages[0]
    look, logs = f"ip netns exec {pod.netns} ip address", str(cluster.directory)
    if rootless.doors():
        inside = processes([pod.netns])[pod.netns][0]
        look, logs = rootless.inspect(inside, "ip", "address"), f"/proc/{inside}/root{logs}"
    return f"""The lab is running: {len(cluster.topology.nodes)} nodes, logs in {logs}

look:    netmatrix matrix --by node --server {url}
         curl '{url}/api/v1/matrix?by=node'      also /api/v1/pair, worst, agents, plan and /metrics
         {look}    inside the pod of the agent on {pod.node}
break:   python -m lab fault loss node=n3 direction=in percent=20
         python -m lab fault partition zones=[z1,z2]
mend:    python -m lab clear
remove:  python -m lab down"""


def fault(wish: argparse.Namespace) -> int:
    """Break something."""
    cluster = _playground(wish.port)
    words: dict[str, Any] = {"kind": wish.kind}
    for word in wish.words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Refused(f"{word!r} is not key=value, such as node=n3")
        try:
            words[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise Refused(f"{word!r} has a value that is no YAML, such as n3, 20 or [z1, z2]") from None
    try:
        broken = parse(words, cluster.topology)
    except ValueError as error:
        raise Refused(str(error)) from None
    if why := lacking(cluster.topology, [broken]):
        raise Refused(why)
    return until_done(_act(cluster, lambda: cluster.apply(broken)))


def clear(wish: argparse.Namespace) -> int:
    """Mend all that was broken."""
    cluster = _playground(wish.port)
    return until_done(_act(cluster, cluster.clear))


def policy(wish: argparse.Namespace) -> int:
    """Apply or delete the policies of a file."""
    cluster = _playground(wish.port)
    documents = _documents(wish.file)
    return until_done(_change(cluster, documents, delete=wish.change == "delete", only=wish.only))


async def _change(
    cluster: Cluster, documents: Sequence[Document], *, delete: bool, only: Literal["enforced", "told"] | None
) -> int:
    if only != "told":
        await cluster.enforce(_after(cluster.policies, documents, delete=delete))
    if only != "enforced":
        await cluster.tell(_after(cluster.told, documents, delete=delete))
    print("enforced:", ", ".join(name_of(document) for document in cluster.policies) or "none")
    return 0


def _after(policies: Sequence[Document], documents: Sequence[Document], *, delete: bool) -> Sequence[Document]:
    for document in documents:
        policies = deleted(policies, name_of(document)) if delete else applied(policies, document)
    return policies


def _documents(file: Path) -> list[Document]:
    try:
        texts = file.read_text().split("\n---\n")
    except OSError as error:
        raise Refused(f"{file}: cannot be read: {error.strerror}") from None
    documents = [values(text.encode(), str(file)) for text in texts]
    found = [document for document in documents if isinstance(document, dict)]
    try:
        for document in found:
            name_of(document)
    except ValueError as error:
        raise Refused(f"{file}: {error}") from None
    return found


async def _act(cluster: Cluster, change: Callable[[], Awaitable[None]]) -> int:
    await change()
    active: Sequence[Fault] = cluster.faults
    print("active:", "; ".join(msgspec.json.encode(fault).decode() for fault in active) or "none")
    return 0


def meant(running: Iterable[str], port: int | None) -> str:
    """Which lab a command is about: that of the demo at a port, else the one that `up` has built, else that of the only demo.

    Raises Refused.
    """
    demos = [name for name in running if name.startswith(DEMO)]
    if port is not None:
        if (name := demo_name(port)) not in demos:
            raise Refused(f"no demo is running at port {port}")
        return name
    if PLAYGROUND in running:
        return PLAYGROUND
    if not demos:
        raise Refused(NOT_RUNNING)
    if len(demos) > 1:
        raise Refused('more than one demo is running: say which with --port, as in ARGS="--port 8080"')
    return demos[0]


def _playground(port: int | None) -> Cluster:
    name = meant(labs(), port)
    try:
        return Cluster.attach(name)
    except LookupError:
        raise Refused(NOT_RUNNING) from None

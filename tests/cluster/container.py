"""What a container is in the pods of a lab, from nothing but the pod's specification: its environment, its files, its rights.

Its processes are in the pod's network namespace and in a mount namespace of their own, where they see the volumes that the
specification mounts, a file system that is read-only, and the commands of the image as this checkout has them.
"""

import base64
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab import rootless
from tests.cluster import tokens
from tests.cluster.api import Api, Object, RefusedError

_CHECKOUT = Path(__file__).parents[2]
_API_SERVER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
_INSIDE = "/run/image"
_COMMANDS = ("agent", "collector")

# Everything that covers something comes after what is under it was last used. The first argument is the pod's folder.
_SCRIPT = """
set -e
folder=$1 image={inside}
mount -t tmpfs none /run
mkdir -p $image/bin $image/python $image/code $image/volumes $image/etc
mount --bind {python} $image/python
mount --bind {code} $image/code
mount --rbind "$folder/volumes" $image/volumes
cp -a /etc/. $image/etc
rm -f $image/etc/resolv.conf
cp "$folder/resolv.conf" $image/etc/resolv.conf
for command in {commands}; do
    printf '#!/bin/sh\\nexec %s/python/bin/python -m %s "$@"\\n' $image $command >$image/bin/$command
    chmod 755 $image/bin/$command
done
mount --bind $image/etc /etc
cd $image/code
{mounts}
mount -o remount,bind,ro /etc
mount -o remount,bind,ro /
exec setpriv --bounding-set -all --inh-caps -all --no-new-privs --regid {group} --clear-groups "${{@:2}}"
"""


def command(pod: Object, folder: Path) -> list[str]:
    """A command line that makes of a process what the pod's container is; `folder` has its files, see `write`."""
    container = pod["spec"]["containers"][0]
    mounts = [
        f"mkdir -p {mount['mountPath']}; mount --bind {_INSIDE}/volumes/{mount['name']} {mount['mountPath']}"
        for mount in container.get("volumeMounts", ())
    ]
    script = _SCRIPT.format(
        inside=_INSIDE,
        python=shlex.quote(sys.prefix),
        code=shlex.quote(str(_CHECKOUT)),
        commands=" ".join(_COMMANDS),
        mounts="\n".join(mounts),
        group=rootless.group(),
    )
    own = environment(pod)
    words = [expanded(word, own) for word in (*container.get("command", ()), *container.get("args", ()))]
    return ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "container", str(folder), *words]


def environment(pod: Object) -> dict[str, str]:
    """The environment of a pod's first container, as a kubelet makes it."""
    image = {"PATH": f"{_INSIDE}/bin:/usr/bin:/bin", "PYTHONPATH": f"{_INSIDE}/code", "LANG": "C.UTF-8"}
    found: dict[str, str] = {**image, **_API_SERVER}
    for variable in pod["spec"]["containers"][0].get("env", ()):
        if field := variable.get("valueFrom", {}).get("fieldRef"):
            found[variable["name"]] = _field(pod, field["fieldPath"])
        else:
            found[variable["name"]] = expanded(variable.get("value", ""), found)
    return found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """A text with each `$(NAME)` replaced."""
    for name, value in variables.items():
        text = text.replace(f"$({name})", value)
    return text


def write(api: Api, pod: Object, folder: Path, name_server: str, *, domain: str = "cluster.local") -> None:
    """Write the volumes as they are to be now: what has changed in the API changes here, in one step for each file.

    A token is written once, since it is renewed long after any test has ended.
    """
    namespace = pod["metadata"]["namespace"]
    search = f"search {namespace}.svc.{domain} svc.{domain} {domain}\noptions ndots:5\n"
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / "resolv.conf", f"nameserver {name_server}\n{search}".encode())
    for volume in pod["spec"].get("volumes", ()):
        place = folder / "volumes" / volume["name"]
        place.mkdir(parents=True, exist_ok=True)
        wanted = dict(_files(api, pod, volume, place))
        for name, content in wanted.items():
            if content is not None:
                _put(place / name, content)
        for file in place.iterdir():
            if "emptyDir" not in volume and file.name not in wanted:
                file.unlink()


def _files(api: Api, pod: Object, volume: Object, place: Path) -> Iterator[tuple[str, bytes | None]]:
    """The files of a volume; None stands for what is there and stays, whatever a test writes into it meanwhile."""
    for source in volume.get("projected", {}).get("sources", [volume]):
        if request := source.get("serviceAccountToken"):
            yield (
                request["path"],
                None
                if (place / request["path"]).exists()
                else tokens.token_for_pod(
                    api, pod, audience=request.get("audience", ""), seconds=request.get("expirationSeconds", 3600)
                ).encode(),
            )
        elif from_map := source.get("configMap"):
            yield from _keys(api, pod, "configmaps", from_map)
        elif from_secret := source.get("secret"):
            yield from _keys(api, pod, "secrets", from_secret)
        elif fields := source.get("downwardAPI"):
            for item in fields["items"]:
                yield item["path"], _field(pod, item["fieldRef"]["fieldPath"]).encode()


def _keys(api: Api, pod: Object, kind: str, source: Object) -> Iterator[tuple[str, bytes]]:
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/{kind}/{source.get('name') or source['secretName']}"
    try:
        found = api.get(path).get("data", {})
    except RefusedError:
        if source.get("optional"):
            return
        raise
    for item in source.get("items") or [{"key": key, "path": key} for key in found]:
        with suppress(KeyError):
            yield item["path"], base64.b64decode(found[item["key"]]) if kind == "secrets" else found[item["key"]].encode()


def _put(file: Path, content: bytes) -> None:
    if not file.exists() or file.read_bytes() != content:
        draft = file.with_name(f".{file.name}.draft")
        draft.write_bytes(content)
        draft.chmod(0o600)
        draft.replace(file)


def _field(pod: Object, path: str) -> str:
    value: Any = pod
    for name in path.split("."):
        value = value[name]
    return value if isinstance(value, str) else json.dumps(value)

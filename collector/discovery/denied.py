"""External targets that people write: what is wrong with one."""

from collections.abc import Iterator

from collector.denied import address_complaint, host_complaint
from collector.discovery.probes import external_ask
from collector.external import External


def external_complaints(path: str, external: External) -> Iterator[tuple[str, str]]:
    """What is wrong with an external target: the path in the file, and a sentence."""
    if bool(external.host) == bool(external.address):
        yield path, "needs either host or address"
    elif external.address:
        sentence = address_complaint(external.address)
        if sentence:
            yield f"{path}.address", sentence
    else:
        denied = host_complaint(external.host)
        if denied:
            yield f"{path}.host", f"{external.host} is never probed: {denied}"
    for place, probe in enumerate(external.probes):
        try:
            external_ask(probe)
        except ValueError as error:
            yield f"{path}.probes[{place}]", str(error)
        if probe in external.probes[:place]:
            yield f"{path}.probes[{place}]", "stands twice"

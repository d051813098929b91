"""Declarations in a file: documents of YAML, or a list under `expectations`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collector.document import read_text
from collector.expectation.document import Declared, declared
from collector.manifest import manifests


def declarations(file: Path) -> list[tuple[Mapping[str, Any], Declared]]:
    """Each as it is written and as it is read; raises BadFileError with the line of what is wrong."""
    found = []
    for one in manifests(read_text(file), file=file.name):
        listed = one.content.get("expectations")
        documents = listed if isinstance(listed, list) and not one.kind else [one.content]
        for place, document in enumerate(documents):
            prefix = f"expectations[{place}]." if document is not one.content else ""
            try:
                found.append((document, declared(document)))
            except ValueError as error:
                raise one.fault(f"{prefix}{error}") from None
    return found

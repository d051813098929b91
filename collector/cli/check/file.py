"""A configuration in a file, checked as the collector would, before it is applied. Nobody is asked."""

import json
from pathlib import Path
from typing import IO

from collector.cli.table import clean


def check_file(path: Path, out: IO[str], *, output: str) -> bool:
    """Say whether a collector would take it; whether it would."""
    # Here, since it takes longer than all other commands together to begin.
    from collector.configuration import load_configuration  # noqa: PLC0415 - as above
    from collector.document import BadFileError  # noqa: PLC0415 - as above

    fault = None
    try:
        load_configuration(path)
    except BadFileError as error:
        fault = str(error)
    if output == "json":
        out.write(json.dumps({"version": 1, "file": str(path), "fault": fault}, indent=2) + "\n")
    else:
        out.write(clean(fault or f"{path.name}: a collector takes it") + "\n")
    return fault is None

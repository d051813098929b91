"""The agent: one process per vantage. It fetches its plan, probes, answers its peers' probes, and reports."""

from typing import Final

VERSION: Final = "0.1.0"
"""Of the distribution. Asking for its metadata would load a reader of mail: 2 MiB resident on every node."""

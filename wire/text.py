"""Names that cross the wire: short, printable, and harmless wherever they are shown later."""

from typing import Annotated

from msgspec import Meta

MAX_NAME = 253
"""Longest name in characters: a DNS subdomain (RFC 1123), which is also the longest Kubernetes object name."""

# Kubernetes names are DNS labels or subdomains; a target adds "/" and ":" between them, and IPv6 brings colons anyway.
# No blank, no quote, no bracket, no control character: such a name cannot break out of a label, a cell, or a terminal.
# Patterns end with \Z and not with $, which lets a line feed through at the end.
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?\Z"

type_name = f"1 to {MAX_NAME} characters of A-Z a-z 0-9 . _ : / @ -, starting and ending with a letter or digit"
"""What a name may be, in words, for error messages."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=NAME_PATTERN)]
OptionalName = Annotated[str, Meta(max_length=MAX_NAME, pattern=r"^([A-Za-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?)?\Z")]

PRINTABLE = r"^[ -~]*\Z"
"""Pattern of other text: printable ASCII, since what a peer or a target said ends up in a terminal and in a file."""

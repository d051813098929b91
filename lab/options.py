"""Values behind options of the command line: a time, a number, a port, a fabric, or one sentence that says what is allowed."""

import argparse
import re

from lab.shape import Fabric

_SPAN = re.compile(r"([0-9]{1,6})(s|m)?")


def seconds(text: str) -> float:
    """Such as `40s` or `2m`, in seconds; raises ArgumentTypeError."""
    found = _SPAN.fullmatch(text)
    span = int(found[1]) * (60 if found[2] == "m" else 1) if found else 0
    if not 10 <= span <= 86_400:  # noqa: PLR2004 - in the sentence
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 40s or 2m, from 10s to a day")
    return float(span)


def count(text: str) -> int:
    """From 1 to 1000; raises ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text) <= 1000:  # noqa: PLR2004 - in the sentence
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000")
    return int(text)


def port(text: str) -> int:
    """From 1 to 65535; raises ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:  # noqa: PLR2004 - TCP
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def fabric_of(text: str) -> Fabric:
    """By its name; raises ArgumentTypeError."""
    try:
        return Fabric(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fabric: {' or '.join(Fabric)}") from None

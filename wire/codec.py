"""Messages as bytes: msgpack by msgspec, optionally one gzip member.

Nothing is decoded that is longer than its limit, before or after decompression, and every error is a CodecError with a word
that can be counted. A message of a newer version is read as far as this version understands it.
"""

import zlib
from contextlib import suppress
from typing import Annotated, TypeVar

import msgspec

from wire.plan import MAX_PATHS, Plan, PlannedPath
from wire.report import Acknowledgement, Report

MAX_PLAN_BYTES = 16 * 1024 * 1024
MAX_REPORT_BYTES = 4 * 1024 * 1024
"""Longest report, after decompression."""
MAX_RATIO = 200
"""A body that grows by more than this is a bomb: real columns compress four- to thirtyfold."""

T = TypeVar("T")

_GZIP = 16 + zlib.MAX_WBITS
_encoder = msgspec.msgpack.Encoder()
_plan_decoder = msgspec.msgpack.Decoder(Plan)
_path_decoder = msgspec.msgpack.Decoder(PlannedPath)
_report_decoder = msgspec.msgpack.Decoder(Report)
_acknowledgement_decoder = msgspec.msgpack.Decoder(Acknowledgement)


class CodecError(ValueError):
    """A message that is not taken. `reason` is one of `oversized`, `compression`, `malformed`."""

    def __init__(self, reason: str, explanation: str) -> None:
        """Keep the reason for the counter and the explanation for the log."""
        super().__init__(explanation)
        self.reason = reason


def encode(message: Plan | Report | Acknowledgement) -> bytes:
    """The message as msgpack."""
    return _encoder.encode(message)


def compress(body: bytes) -> bytes:
    """One gzip member at the fastest level, which shrinks columns about fourfold."""
    compressor = zlib.compressobj(level=1, wbits=_GZIP)
    return compressor.compress(body) + compressor.flush()


def decompress(body: bytes, *, limit: int) -> bytes:
    """The content of exactly one gzip member. Never holds more than `limit` bytes of output.

    Raises CodecError where it is longer than `limit` or MAX_RATIO times its input, not gzip, torn, or followed by anything,
    be it a second member: many empty members in a row cost quadratic time in other readers (CVE-2026-128131).
    """
    decompressor = zlib.decompressobj(wbits=_GZIP)
    bound = min(limit, MAX_RATIO * len(body))
    try:
        content = decompressor.decompress(body, bound + 1)
    except zlib.error as error:
        raise CodecError("compression", f"not gzip: {error}") from None
    if len(content) > bound:
        raise CodecError("compression", f"grows beyond {bound} bytes")
    if not decompressor.eof or decompressor.unused_data:
        raise CodecError("compression", "torn, or more than one gzip member")
    return content


class _Frame(Plan, frozen=True, omit_defaults=True):
    """A plan whose paths are still bytes."""

    paths: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=MAX_PATHS)]  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Nothing yet: the paths are looked at one by one."""


_frame_decoder = msgspec.msgpack.Decoder(_Frame)


def decode_plan(body: bytes) -> Plan:
    """A plan from msgpack; raises CodecError. Paths that this version does not understand are left out and counted."""
    try:
        return _decoded(_plan_decoder, body, MAX_PLAN_BYTES)
    except CodecError as error:
        if error.reason != "malformed":
            raise
    frame = _decoded(_frame_decoder, body, MAX_PLAN_BYTES)
    paths = []
    for raw in frame.paths:
        with suppress(CodecError):
            paths.append(_decoded(_path_decoder, bytes(raw), MAX_PLAN_BYTES))
    fields = {name: getattr(frame, name) for name in Plan.__struct_fields__}
    try:
        return Plan(**fields | {"paths": tuple(paths), "unreadable": len(frame.paths) - len(paths)})
    except ValueError as error:
        raise CodecError("malformed", str(error)) from None


def decode_report(body: bytes) -> Report:
    """A report from msgpack; raises CodecError. Counts of its columns are the collector's to check."""
    return _decoded(_report_decoder, body, MAX_REPORT_BYTES)


def decode_acknowledgement(body: bytes) -> Acknowledgement:
    """An acknowledgement from msgpack; raises CodecError."""
    return _decoded(_acknowledgement_decoder, body, 1024)


def _decoded(decoder: msgspec.msgpack.Decoder[T], body: bytes, limit: int) -> T:
    if len(body) > limit:
        raise CodecError("oversized", f"{len(body)} bytes, more than {limit}")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # msgspec names the field and what is allowed, and quotes nothing of what was sent beyond a type or a number.
        raise CodecError("malformed", str(error)) from None

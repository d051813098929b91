"""`/api/v1/picture`: the matrix as a picture, in a form that a browser draws without reading it.

`NMP1`, the length of a header in four bytes, the header as JSON, one byte for each pair of a row and a column; numbers in
little endian.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec
import numpy as np
from aiohttp import hdrs, web

from collector.api.question import FILTERS, QuestionError, dimensions, parameters, span_ns, wanted
from collector.api.renderings import Renderings
from collector.matrix.answers import seconds
from collector.matrix.picture import LATENCY_LEVELS, LOSS_LEVELS, MEASURES, Picture, picture_in_slices
from collector.matrix.query import TooManyError
from collector.matrix.slices import Slices
from collector.matrix.store import Matrix
from collector.verdict import pictured
from collector.verdict.judgement import Judgement
from collector.verdict.pictured import DIMENSIONS as VERDICTS_BY

MAGIC: Final = b"NMP1"
TYPE: Final = "application/vnd.netmatrix.picture"
VERDICT: Final = "verdict"
SHADES: Final = (VERDICT, *MEASURES)
_BOUNDS: Final = {"loss": LOSS_LEVELS, "p50": LATENCY_LEVELS, "p99": LATENCY_LEVELS, VERDICT: ()}
MOST_NODES: Final = 1000
"""Where nobody says how to group it, a larger cluster is drawn zone by zone: so much is drawn in time, and taken in."""
NOTHING: Final = Picture([], [], np.zeros((0, 0), np.uint8), None, 0)
"""Before anything was judged."""


class Pictures:
    """The handler."""

    def __init__(
        self, matrix: Matrix, judgement: Callable[[], Judgement], renderings: Renderings, now_ns: Callable[[], int]
    ) -> None:
        self._matrix = matrix
        self._judgement = judgement
        self._renderings = renderings
        self._now_ns = now_ns

    async def picture(self, request: web.Request) -> web.Response:
        """A picture of two dimensions; see the module."""
        found = parameters(request.query, ("by", "shade", *(name for name in FILTERS if name != "totals")))
        encoding = "gzip" if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "") else ""
        question = f"picture?{urlencode(sorted(found.items()))}"
        try:
            body, age_ns = await self._renderings.picture(
                question, self._drawn(found), now_ns=self._now_ns(), encoding=encoding
            )
        except TooManyError as error:
            raise QuestionError(str(error)) from None
        headers = {hdrs.CONTENT_TYPE: TYPE, hdrs.VARY: hdrs.ACCEPT_ENCODING, hdrs.AGE: str(age_ns // 10**9)}
        return web.Response(body=body, headers=headers | ({hdrs.CONTENT_ENCODING: encoding} if encoding else {}))

    def _drawn(self, found: Mapping[str, str]) -> Callable[[int], Slices[bytes]]:
        nodes = len(self._matrix.snapshot.nodes)
        by, measure = found.get("by", "node" if nodes <= MOST_NODES else "zone"), found.get("shade", "loss")
        rows, columns = dimensions(by)
        if measure not in SHADES:
            raise QuestionError(f"shade must be one of {', '.join(SHADES)}")
        span, which = span_ns(found, retention_ns=self._matrix.retention_ns), wanted(found)
        compared = self._judgement().comparison
        if measure == VERDICT and {rows, columns} - set(VERDICTS_BY):
            raise QuestionError(f"verdicts are by {', '.join(VERDICTS_BY)}")

        def drawn(now_ns: int) -> Slices[bytes]:
            if measure == VERDICT:
                one = NOTHING if compared is None else pictured.picture(compared, rows, columns, which)
            else:
                shut = pictured.lossless(compared)
                one = yield from picture_in_slices(
                    self._matrix, now_ns, rows, columns, measure=measure, span_ns=span, wanted=which, closed=shut
                )
            header = msgspec.json.encode(
                {
                    "version": 1,
                    "by": by,
                    "measure": measure,
                    "levels": _BOUNDS[measure],
                    "span_seconds": seconds(one.span_ns),
                    "cells": one.cells,
                    "rows": one.rows,
                    "columns": one.columns,
                }
            )
            return MAGIC + len(header).to_bytes(4, "little") + header + one.codes.tobytes()

        return drawn

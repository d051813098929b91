import asyncio
import gzip

import pytest

from collector.api import renderings as renderings_module
from collector.api.asking import Asking
from collector.api.renderings import AT_ONCE, GOOD_FOR, GOOD_NS, MOST, MOST_GOOD_NS, Renderings
from collector.matrix.slices import Slices
from tests.collector.small_cluster import matrix_of

LONG = 10_000


class Work:
    """Renderings of some bytes that note how many are made at a time."""

    def __init__(self) -> None:
        self.renderings = Renderings(Asking(matrix_of(), lambda: 0))
        self.begun = self.working = self.most = 0

    def slices(self, _now_ns: int) -> Slices[bytes]:
        self.begun += 1
        self.working += 1
        self.most = max(self.most, self.working)
        yield
        self.working -= 1
        return bytes(LONG)

    async def ask(self, question: str = "q", *, now_ns: int = 0, encoding: str = "") -> bytes:
        return await self.renderings.body(question, self.slices, now_ns=now_ns, encoding=encoding)


async def test_a_rendering_is_made_once_in_its_time_and_each_encoding_is_the_same_bytes() -> None:
    work = Work()
    assert await work.ask() == gzip.decompress(await work.ask(encoding="gzip")) == await work.ask(now_ns=GOOD_NS - 1)
    assert work.begun == 1
    await work.ask(now_ns=GOOD_NS, encoding="gzip")
    assert work.begun == 2


@pytest.mark.parametrize(
    ("took_ns", "good_ns"), [(0, GOOD_NS), (GOOD_NS // 4, GOOD_FOR * GOOD_NS // 4), (GOOD_NS, MOST_GOOD_NS)]
)
async def test_a_picture_is_good_for_longer_the_longer_it_took_and_says_how_old_it_is(took_ns: int, good_ns: int) -> None:
    work = Work()
    clock = iter(range(0, 100 * took_ns + 100, took_ns or 1))
    renderings = Renderings(Asking(matrix_of(), lambda: 0), clock=lambda: next(clock))

    async def ask(now_ns: int) -> tuple[bytes, int]:
        return await renderings.picture("q", work.slices, now_ns=now_ns, encoding="gzip")

    body, age_ns = await ask(0)
    assert (gzip.decompress(body), age_ns) == (bytes(LONG), 0)
    assert await ask(good_ns - 1) == (body, good_ns - 1)
    assert work.begun == 1
    assert (await ask(good_ns))[1] == 0
    assert work.begun == 2


async def test_a_picture_has_its_age_though_it_is_pushed_out_while_it_is_written() -> None:
    work = Work()
    await work.renderings.picture("q", work.slices, now_ns=0, encoding="")
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(work.renderings.picture("q", work.slices, now_ns=GOOD_NS - 1, encoding="gzip"))
        for number in range(2 * MOST):
            tasks.create_task(work.ask(f"q{number}"))
    body, age_ns = asking.result()
    assert (gzip.decompress(body), age_ns) == (bytes(LONG), GOOD_NS - 1)


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_survive_34_many_who_want_something_else_each_are_answered_a_few_at_a_time(encoding: str) -> None:
    work = Work()
    async with asyncio.TaskGroup() as tasks:
        for number in range(5 * MOST):
            tasks.create_task(work.ask(f"q{number}", encoding=encoding))
    assert (work.begun, work.most) == (5 * MOST, AT_ONCE)
    assert len(work.renderings._kept) <= MOST


async def test_survive_34_long_renderings_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderings_module, "MOST_BYTES", 3 * LONG)
    work = Work()
    for number in range(MOST):
        await work.ask(f"q{number}")
        assert sum(one.bytes for one in work.renderings._kept.values()) <= 4 * LONG
    begun = work.begun
    await work.ask(f"q{MOST - 1}")
    assert work.begun == begun, "the newest is kept"

"""Windows that hypothesis draws: any that can exist."""

from collections import Counter

from hypothesis import strategies as st

from wire.histogram import bucket_of
from wire.outcome import LOCAL, NETWORK, Outcome
from wire.window import FactName, Flag, Measure, Timed, Window

counts = st.integers(min_value=1, max_value=2**20)
path_ids = st.integers(min_value=0, max_value=2**64 - 1)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@st.composite
def windows(draw: st.DrawFn, path: int | None = None) -> Window:
    latencies = draw(st.lists(st.integers(min_value=0, max_value=2**40), max_size=6))
    return Window(
        path=draw(path_ids) if path is None else path,
        received=len(latencies),
        late=draw(st.integers(min_value=0, max_value=2**20)),
        failed=draw(st.dictionaries(st.sampled_from(sorted(NETWORK - {Outcome.LATE})), counts, max_size=4)),
        local=draw(st.dictionaries(st.sampled_from(sorted(LOCAL)), counts, max_size=4)),
        latency=dict(Counter(bucket_of(latency) for latency in latencies)),
        sum_ns=sum(latencies),
        min_ns=min(latencies, default=0),
        max_ns=max(latencies, default=0),
        timed=Timed(draw(st.integers(min_value=0, max_value=7))),
        flags=Flag(draw(st.integers(min_value=0, max_value=7))),
        measures=draw(st.dictionaries(st.sampled_from(Measure), st.integers(min_value=0, max_value=2**50), max_size=4)),
        facts=draw(st.dictionaries(st.sampled_from(FactName), printable, max_size=2)),
    )

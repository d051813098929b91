"""Windows that hypothesis draws: any that can exist."""

from collections import Counter

from hypothesis import strategies as st

from wire.histogram import bucket_of
from wire.outcome import LOCAL, NETWORK, Outcome
from wire.window import FactName, Flag, Measure, Timed, Window

COUNTS = st.integers(min_value=1, max_value=2**20)
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
# Made once: hypothesis takes longer to make a strategy than to draw from it.
PARTS = st.tuples(
    st.integers(min_value=0, max_value=2**64 - 1),
    st.lists(st.integers(min_value=0, max_value=2**40), max_size=4),
    st.integers(min_value=0, max_value=2**20),
    st.dictionaries(st.sampled_from(sorted(NETWORK - {Outcome.LATE})), COUNTS, max_size=2),
    st.dictionaries(st.sampled_from(sorted(LOCAL)), COUNTS, max_size=2),
    st.integers(min_value=0, max_value=63),
    st.dictionaries(st.sampled_from(Measure), st.integers(min_value=0, max_value=2**50), max_size=2),
    st.dictionaries(st.sampled_from(FactName), PRINTABLE, max_size=2),
)


@st.composite
def windows(draw: st.DrawFn, path: int | None = None) -> Window:
    path_id, latencies, late, failed, local, bits, measures, facts = draw(PARTS)
    return Window(
        path=path_id if path is None else path,
        received=len(latencies),
        late=late,
        failed=failed,
        local=local,
        latency=dict(Counter(bucket_of(latency) for latency in latencies)),
        sum_ns=sum(latencies),
        min_ns=min(latencies, default=0),
        max_ns=max(latencies, default=0),
        timed=Timed(bits & 7),
        flags=Flag(bits >> 3),
        measures=measures,
        facts=facts,
    )

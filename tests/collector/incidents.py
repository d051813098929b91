"""Incidents as values, for what shows or tells them."""

from collector.verdict.finding import Evidence
from collector.verdict.hold import Phase
from collector.verdict.incident import Incident
from collector.verdict.judgement import Closed, Judgement
from wire.path import Family, Kind, Layer

SECOND = 10**9

DEAD = Incident(
    id="00f0",
    kind="node",
    component="n3",
    layer=Layer.HOST,
    direction="both",
    phase=Phase.FIRING,
    since_ns=100 * SECOND,
    seen_ns=110 * SECOND,
    loss=1.0,
    sent=40,
    lost=40,
    witnesses=5,
    of_witnesses=5,
    sentence="Node n3 is unreachable.",
    effect="unreachable",
    severity="critical",
    evidence=(Evidence("n1", "pod/netmatrix/agent-n3", Layer.POD, Kind.UDP, Family.IPV4, 4, 4),),
    against="A reply from n3.",
)
LOSSY = DEAD._replace(id="00f1", component="n4", effect="loss", severity="warning", sentence="n4 loses 3 %.")
JUDGED = Judgement(
    112 * SECOND,
    (DEAD,),
    (LOSSY._replace(phase=Phase.PENDING),),
    (Closed(LOSSY._replace(id="00f2", phase=Phase.CLOSED), 90 * SECOND),),
    {("node", "unreachable"): 1, ("node", "loss"): 1},
    cells=100,
    judged=90,
    took_seconds=0.25,
)

"""The real agent as a process, with a plan of a measurement's choice.

It is `python -m agent run`, its ceilings raised by its environment, which alone can. Its plan comes over HTTP from a stand-in
for the collector, and its reports go there.
"""

import signal
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path as File

from prometheus_client.parser import text_string_to_metric_families

from bench.programs import Program
from lab.namespaces import call_inside
from wire.codec import encode
from wire.path import Ask, Family, Layer, Path, Target
from wire.plan import GroupKey, Identity, Plan, PlannedPath

KEYS = (GroupKey(1, b"k" * 16),)
HTTP_PORT = 9620
PLAN_PORT = 8443
SETTLED_SECONDS = 2.5
"""From the plan to a steady state: an agent sends nothing for two seconds, so that its peers can get their plan as well."""
RAISED = {"NETMATRIX_MAX_PPS": "1000000", "NETMATRIX_MIN_INTERVAL": "10ms", "NETMATRIX_MAX_PEERS": "1000000"}


def plan_of(
    asks: Sequence[tuple[str, Ask]],
    *,
    interval_ms: int,
    timeout_ms: int = 1000,
    addresses: Sequence[str] = (),
    report_ms: int = 10_000,
) -> Plan:
    """A plan of one path for each (address, ask), all in the layer `pod`; `addresses` are the agent's own."""
    paths = tuple(
        PlannedPath(
            Path("bench", Target(f"pod/bench/{address}", address, address), Layer.POD, Family.of(address), ask),
            interval_ms,
            timeout_ms,
        )
        for address, ask in asks
    )
    return Plan(1, 1, Identity("bench", "bench", addresses=tuple(addresses)), KEYS, report_ms, paths)


class Agent:
    """A running agent, as seen from outside."""

    def __init__(self, program: Program, netns: str, collector: Program) -> None:
        self.program = program
        self.collector = collector
        """The stand-in, which may be ended."""
        self.pid = program.pid
        self._netns = netns

    def page(self, path: str) -> str:
        """One of its own pages; raises OSError."""

        def get() -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}{path}", timeout=5) as answer:
                    content: bytes = answer.read()
                    return content.decode()
            except urllib.error.HTTPError as error:
                error.close()
                raise

        return call_inside(self._netns, get)

    def ready(self) -> bool:
        """Whether it has its plan."""
        try:
            return self.page("/readyz") == "ok\n"
        except OSError:
            return False

    def probes(self) -> Counter[str]:
        """Probes by what became of them: `received` or a word of the closed list."""
        return self.figures("probes", "outcome")

    def figures(self, name: str, label: str = "") -> Counter[str]:
        """One of its counters, by one of its labels, or all under `` where it has none."""
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(self.page("/metrics")):
            if family.name == f"netmatrix_agent_{name}":
                for sample in family.samples:
                    found[sample.labels.get(label, "")] += int(sample.value)
        return found


@contextmanager
def agent(
    netns: str,
    plan: Plan,
    *,
    environment: Mapping[str, str] = {},
    module: Sequence[str] = ("agent", "run"),
    collector: str = "bench.plan_server",
) -> Iterator[Agent]:
    """An agent that has its plan, with its stand-in for the collector, both in this namespace and both ended at the end.

    `module` is the agent in another form with its arguments, `collector` another stand-in, one that takes plan and port.
    """
    with tempfile.TemporaryDirectory(prefix="bench-agent-") as name:
        folder = File(name)
        (folder / "plan").write_bytes(encode(plan))
        (folder / "token").write_text("k" * 32)
        settings = {
            "NETMATRIX_COLLECTOR": f"http://127.0.0.1:{PLAN_PORT}",
            "NETMATRIX_TOKEN_FILE": str(folder / "token"),
            "NETMATRIX_VANTAGE": "bench",
            "NETMATRIX_HTTP_PORT": str(HTTP_PORT),
            **RAISED,
            **environment,
        }
        serve = [sys.executable, "-m", collector, str(folder / "plan"), str(PLAN_PORT)]
        with (
            Program(serve, log=folder / "server.log", netns=netns) as server,
            Program([sys.executable, "-m", *module], log=folder / "agent.log", netns=netns, environment=settings) as program,
        ):
            running = Agent(program, netns, server)
            program.wait_until(running.ready)
            yield running
            program.check()
            program.end(signal.SIGKILL)  # asked to leave, it would answer its peers for seconds yet

"""The agent in another form, or with another stand-in for the collector: one that writes down what an agent does not tell.

What it is given and how it ends is as in `bench.agents`.
"""

import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.agents import HTTP_PORT, PLAN_PORT, RAISED, Agent
from bench.programs import Program
from wire.codec import encode
from wire.plan import Plan


@contextmanager
def recorded(
    netns: str, plan: Plan, *, agent: Sequence[str] = ("agent", "run"), collector: str = "bench.plan_server"
) -> Iterator[Agent]:
    """A running agent that has its plan; `agent` is a module with its arguments, `collector` one that takes plan and port."""
    with tempfile.TemporaryDirectory(prefix="bench-recorded-") as name:
        folder = Path(name)
        (folder / "plan").write_bytes(encode(plan))
        (folder / "token").write_text("k" * 32)
        settings = {
            "NETMATRIX_COLLECTOR": f"http://127.0.0.1:{PLAN_PORT}",
            "NETMATRIX_TOKEN_FILE": str(folder / "token"),
            "NETMATRIX_VANTAGE": "bench",
            "NETMATRIX_HTTP_PORT": str(HTTP_PORT),
            **RAISED,
        }
        serve = [sys.executable, "-m", collector, str(folder / "plan"), str(PLAN_PORT)]
        run = [sys.executable, "-m", *agent]
        with (
            Program(serve, log=folder / "server.log", netns=netns) as server,
            Program(run, log=folder / "agent.log", netns=netns, environment=settings) as program,
        ):
            running = Agent(program, netns, server)
            program.wait_until(running.ready)
            yield running
            program.check()
            program.end(signal.SIGKILL)  # asked to leave, it would answer its peers for seconds yet

"""How the agent itself fares: event-loop lag, CPU throttling, suspend, memory.

In: clocks and the kernel's accounting files. Out: a Health for each span, and whether the span's figures may be believed.
Lag alone does no harm, since the kernel keeps the time of most probes; what counts is whether answers were still in their
sockets when we looked, and whether our own clock-timed kinds were stretched.
"""

import os
import resource
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from wire import histogram
from wire.report import Health

BEAT_NS = 200_000_000
"""How often the event loop is asked to wake up, to see how late it does."""

ILL_STALL_NS = 1_000_000_000
"""A loop that stood still this long had probes in flight whose fate it does not know. A shared machine with two cores makes a
healthy process wait for tens of milliseconds often and 200 ms now and then, which kernel stamps render harmless; a second is
the usual waiting time of a probe, and no scheduler does that to a process that is let run."""
ILL_THROTTLED = 0.2
"""Share of the span for which the CPU limit kept us from running."""
ILL_SUSPENDED_NS = 100_000_000
"""Sleep of the machine; less is the two clocks being read one after the other."""

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Reading:
    """The kernel's running totals at one moment, in nanoseconds; only differences mean anything."""

    suspended_ns: int
    throttled_ns: int
    cpu_ns: int
    resident_bytes: int


class Pulse:
    """Lags of the event loop in one span. Pure."""

    def __init__(self, now: int) -> None:
        self.due_ns = now + BEAT_NS
        """When the loop should wake next."""
        self.beaten_ns = now
        """When it last did."""
        self._lags: Counter[int] = Counter()
        self.max_ns = 0
        """Longest lag since the last cut."""

    def beat(self, now: int) -> None:
        """The loop woke."""
        self._note(now)
        self.beaten_ns, self.due_ns = now, now + BEAT_NS

    def cut(self, now: int) -> tuple[int, int]:
        """The 99th percentile (an estimate, never above the maximum) and the maximum since the last cut.

        A beat that is overdue at the cut counts: after a stall, the cut may be the first to run.
        """
        if now > self.due_ns:
            self._note(now)
            self.due_ns = now
        p99_ns = min(round(histogram.quantile_ns(self._lags, 0.99) or 0), self.max_ns)
        max_ns, self.max_ns = self.max_ns, 0
        self._lags.clear()
        return p99_ns, max_ns

    def _note(self, now: int) -> None:
        lag_ns = max(now - self.due_ns, 0)
        self._lags[histogram.bucket_of(lag_ns)] += 1
        self.max_ns = max(self.max_ns, lag_ns)


def illness(health: Health, span_ns: int) -> str | None:
    """Why the network is not to blame for what this span shows, in a word; None where the agent was well."""
    if health.suspended_ns >= ILL_SUSPENDED_NS:
        return "suspended"
    if health.loop_lag_max_ns >= ILL_STALL_NS:
        return "stalled"
    if health.throttled_ns and health.throttled_ns >= ILL_THROTTLED * span_ns:
        return "throttled"
    return None


def throttled_ns(stat: str) -> int:
    """Nanoseconds of throttling in a cpu.stat file: `throttled_usec` in cgroup v2, `throttled_time` (ns) in v1; 0 without."""
    values = dict(line.split(None, 1) for line in stat.splitlines() if line.count(" ") == 1)
    for name, unit_ns in (("throttled_usec", 1000), ("throttled_time", 1)):
        if values.get(name, "").strip().isdigit():
            return int(values[name]) * unit_ns
    return 0


def suspended_ns() -> int:
    """Time that the machine has slept since it was booted: CLOCK_BOOTTIME goes on in it, CLOCK_MONOTONIC does not."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


class Vitals:
    """Reads the kernel's accounting of this process; says since the last cut."""

    def __init__(self) -> None:
        self._stat = _cpu_stat()
        self._page_bytes = resource.getpagesize()
        self._last = self.read()

    def read(self) -> Reading:
        """The totals now. What cannot be read is 0: there is then no limit that could throttle."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Reading(
            suspended_ns=suspended_ns(),
            throttled_ns=throttled_ns(_text(self._stat)) if self._stat else 0,
            cpu_ns=round((usage.ru_utime + usage.ru_stime) * 1e9),
            resident_bytes=int((_text(Path("/proc/self/statm")).split() or ["0", "0"])[1]) * self._page_bytes,
        )

    def cut(self, pulse: Pulse, now: int) -> Health:
        """Health of the span since the last cut."""
        before, after = self._last, self.read()
        self._last = after
        p99_ns, max_ns = pulse.cut(now)
        slept_ns = after.suspended_ns - before.suspended_ns
        return Health(
            loop_lag_p99_ns=p99_ns,
            loop_lag_max_ns=max_ns,
            throttled_ns=max(after.throttled_ns - before.throttled_ns, 0),
            suspended_ns=slept_ns if slept_ns >= ILL_SUSPENDED_NS else 0,
            cpu_ns=max(after.cpu_ns - before.cpu_ns, 0),
            resident_bytes=after.resident_bytes,
        )


def _cpu_stat() -> Path | None:
    """The cpu.stat of our own cgroup: in a container it is at the root, on a bare machine below it."""
    places = [line.split(":", 2) for line in _text(Path("/proc/self/cgroup")).splitlines() if line.count(":") > 1]
    own = [_CGROUP / name.lstrip("/") for _, controllers, name in places if not controllers]
    own += [_CGROUP / "cpu" / name.lstrip("/") for _, controllers, name in places if "cpu" in controllers.split(",")]
    candidates = [folder / "cpu.stat" for folder in [*own, _CGROUP, _CGROUP / "cpu"]]
    return next((path for path in candidates if "throttled" in _text(path)), None)


def _text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 65536).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)

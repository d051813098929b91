"""What the kernel counted: CPU time of a process, and packets of a network namespace.

Both are read before and after a window of time, so that nobody's start-up or end is in a figure, and both are the kernel's own
account: no contender is asked how much it did or what it cost.
"""

import time
from pathlib import Path

_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of a whole process, linux/posix-timers_types.h


def cpu_ns(pid: int) -> int:
    """CPU time in nanoseconds that a process has used so far: user and system, of all its threads, living and ended.

    It is the sum of /proc/PID/task/*/schedstat with what ended threads have used (clock_getcpuclockid(3)). Raises OSError where
    the process is gone.
    """
    return time.clock_gettime_ns((~pid << 3) | _PROCESS_CLOCK)


def packets(pid: int, protocol: str, counter: str) -> int:
    """A counter of the network namespace that a process is in, such as `Icmp` and `InEchos` (/proc/PID/net/snmp, RFC 2011)."""
    return _counter(Path(f"/proc/{pid}/net/snmp"), protocol, counter)


def _counter(file: Path, protocol: str, counter: str) -> int:
    lines = [line.split() for line in file.read_text().splitlines() if line.startswith(f"{protocol}:")]
    names, values = lines
    return int(values[names.index(counter)])


def resident_bytes(pid: int) -> int:
    """Resident memory of a process (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0

"""A round trip from whatever stamps there are, and how it was timed.

In: monotonic times of our own, stamps of the kernel in CLOCK_REALTIME, and the distance between the two clocks at both ends.
Out: nanoseconds and Timed. A clock that stepped meanwhile never reaches a latency: its stamps are dropped.
"""

from wire.window import Timed

STEP_NS = 1_000_000
"""The clocks' distance may change by this much before it is called a step."""
SLEW_SHARE = 1_000
"""And by one part in so many of the time that passed: twice what an NTP daemon may slew (500 ppm)."""

_KERNEL, _USER = Timed.KERNEL, Timed.USER  # to look a member up in its enumeration takes longer than all else here


def round_trip(  # noqa: PLR0917 - called for every probe: by position, which is faster
    sent_ns: int,
    read_ns: int,
    sent_offset_ns: int,
    read_offset_ns: int,
    transmitted_ns: int,
    received_ns: int,
    dwell_ns: int = 0,
    dwell_exact: bool = True,  # noqa: FBT001, FBT002 - as above
) -> tuple[int, Timed]:
    """Latency in nanoseconds, never negative, and its way of timing.

    `sent_ns` and `read_ns` are monotonic, `*_offset_ns` is CLOCK_REALTIME minus CLOCK_MONOTONIC at the same moments,
    `transmitted_ns` and `received_ns` are the kernel's stamps or 0, `dwell_ns` is the reflector's own time, to be subtracted.
    """
    elapsed, whole = read_ns - sent_ns, received_ns - transmitted_ns
    if (  # as it is nearly always
        transmitted_ns
        and received_ns
        and dwell_exact
        and -STEP_NS <= read_offset_ns - sent_offset_ns <= STEP_NS
        and 0 <= dwell_ns <= whole <= elapsed + STEP_NS
    ):
        return whole - dwell_ns, _KERNEL
    steady = abs(read_offset_ns - sent_offset_ns) <= STEP_NS + elapsed // SLEW_SHARE
    begin = transmitted_ns if steady and transmitted_ns else sent_ns + sent_offset_ns
    end = received_ns if steady and received_ns else read_ns + sent_offset_ns
    whole = end - begin
    if not 0 <= whole <= elapsed + STEP_NS:
        whole, steady = elapsed, False
    exact = steady and transmitted_ns > 0 and received_ns > 0
    if 0 <= dwell_ns <= whole:
        whole -= dwell_ns
    else:
        exact = False  # the reflector's clock stepped
    return whole, _KERNEL if exact and dwell_exact else _USER

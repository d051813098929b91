"""What a traced agent wrote is read as it was meant."""

from pathlib import Path

from bench.traced_agent import traced
from wire.path import Kind


def test_a_probe_has_its_latency_and_whether_its_stamps_were_there(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text("icmp 7 4000 1\nudp 7 5000 4\ntcp 10.0.0.1:5 6000 2\nhttp 10.0.0.1:6 7000 3\nhttp 10.0.0.1:7 7000 6\n")
    assert traced(file) == {
        (Kind.ICMP, "7"): (4000, True),
        (Kind.UDP, "7"): (5000, False),
        (Kind.TCP, "10.0.0.1:5"): (6000, True),
        (Kind.HTTP, "10.0.0.1:6"): (7000, True),
        (Kind.HTTP, "10.0.0.1:7"): (7000, False),
    }


def test_a_name_that_came_twice_belongs_to_nobody(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text("tcp 10.0.0.1:5 6000 2\ntcp 10.0.0.1:5 7000 2\n")
    assert traced(file) == {}

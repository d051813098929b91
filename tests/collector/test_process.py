import subprocess
import sys
from pathlib import Path

from collector.process import give_back, shortage


def test_the_soft_limit_of_descriptors_becomes_the_hard_one() -> None:
    said = subprocess.run(
        [
            "prlimit",
            "--nofile=300:700",
            sys.executable,
            "-c",
            "from collector import process as p; p.raise_descriptors(); print(p.descriptors())",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout == "700\n"


def test_too_few_descriptors_for_the_vantages_are_one_sentence_with_both_numbers() -> None:
    assert shortage(5_600, 5_000, others=600) is None
    assert shortage(1_024, 5_000, others=600) == (
        "5600 files may have to be open at once for 5000 vantages, and the limit is 1024 (ulimit -Hn)"
    )


def test_memory_that_nobody_uses_goes_back_to_the_system() -> None:
    def resident() -> int:
        words = Path("/proc/self/statm").read_text().split()
        return int(words[1])

    small = [bytes(1000) for _ in range(50_000)]  # far below what has a mapping of its own
    last = bytes(1000)  # above which nothing is given back by itself
    before = resident()
    del small
    give_back()
    assert resident() < before - 5_000
    assert last

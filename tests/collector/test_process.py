import subprocess
import sys

from collector.process import shortage


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

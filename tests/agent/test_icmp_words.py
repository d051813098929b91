"""What ICMP errors mean."""

from socket import AF_INET, AF_INET6, AddressFamily

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.icmp_words import word_for_icmp
from agent.kernel import IcmpError
from wire.outcome import Outcome


@pytest.mark.parametrize(
    ("family", "kind", "code", "outcome"),
    [
        (AF_INET, 3, 0, Outcome.UNREACHABLE),
        (AF_INET, 3, 1, Outcome.UNREACHABLE),
        (AF_INET, 3, 3, Outcome.REFUSED),
        (AF_INET, 3, 4, Outcome.TOO_BIG),
        (AF_INET, 3, 13, Outcome.PROHIBITED),
        (AF_INET, 11, 0, Outcome.UNREACHABLE),
        (AF_INET, 5, 1, None),
        (AF_INET6, 1, 0, Outcome.UNREACHABLE),
        (AF_INET6, 1, 1, Outcome.PROHIBITED),
        (AF_INET6, 1, 3, Outcome.UNREACHABLE),
        (AF_INET6, 1, 4, Outcome.REFUSED),
        (AF_INET6, 1, 6, Outcome.PROHIBITED),
        (AF_INET6, 2, 0, Outcome.TOO_BIG),
        (AF_INET6, 137, 0, None),
    ],
)
def test_survive_41_each_icmp_error_has_its_word(family: AddressFamily, kind: int, code: int, outcome: Outcome | None) -> None:
    assert word_for_icmp(IcmpError(family, kind, code, "")) is outcome


@given(st.sampled_from([AF_INET, AF_INET6]), st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=100)
def test_no_icmp_error_is_ever_a_fault_of_our_own(family: AddressFamily, kind: int, code: int) -> None:
    outcome = word_for_icmp(IcmpError(family, kind, code, ""))
    assert outcome is None or not outcome.is_local

"""Whose fault an errno is."""

import errno

import pytest

from agent.errno_words import word_for
from wire.outcome import Outcome


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (errno.ENOBUFS, Outcome.NO_BUFFER),
        (errno.ENOMEM, Outcome.NO_BUFFER),
        (errno.EAGAIN, Outcome.NO_BUFFER),
        (errno.EPERM, Outcome.FORBIDDEN),
        (errno.EACCES, Outcome.FORBIDDEN),
        (errno.EADDRNOTAVAIL, Outcome.NO_PORT),
        (errno.EMFILE, Outcome.NO_FD),
        (errno.ENFILE, Outcome.NO_FD),
        (errno.EMSGSIZE, Outcome.UNSUPPORTED),
        (errno.EINVAL, Outcome.INTERNAL),
    ],
)
def test_survive_30_an_error_of_our_own_is_local_and_never_loss(code: int, outcome: Outcome) -> None:
    assert word_for(OSError(code, "")) is outcome
    assert outcome.is_local


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (errno.ENETUNREACH, Outcome.UNREACHABLE),
        (errno.EHOSTUNREACH, Outcome.UNREACHABLE),
        (errno.ECONNREFUSED, Outcome.REFUSED),
        (errno.ECONNRESET, Outcome.RESET),
        (errno.ETIMEDOUT, Outcome.TIMEOUT),
    ],
)
def test_what_a_router_or_a_peer_said_is_the_networks(code: int, outcome: Outcome) -> None:
    assert word_for(OSError(code, "")) is outcome
    assert not outcome.is_local


def test_a_timeout_without_errno_is_a_timeout_and_an_error_without_errno_is_our_own_fault() -> None:
    assert word_for(TimeoutError()) is Outcome.TIMEOUT
    assert word_for(OSError("odd")) is Outcome.INTERNAL

"""The closed list: a word keeps its number, and whose fault it is, for ever."""

from wire.outcome import LOCAL, NETWORK, Outcome


def test_a_word_keeps_its_number() -> None:
    assert {outcome.word: int(outcome) for outcome in Outcome} == {
        "timeout": 1,
        "refused": 2,
        "reset": 3,
        "unreachable": 4,
        "prohibited": 5,
        "too_big": 6,
        "dns_nxdomain": 7,
        "dns_servfail": 8,
        "dns_timeout": 9,
        "dns_error": 10,
        "tls": 11,
        "http_status": 12,
        "protocol": 13,
        "no_endpoints": 14,
        "wrong_peer": 15,
        "late": 16,
        "no_fd": 64,
        "no_buffer": 65,
        "no_port": 66,
        "forbidden": 67,
        "unsupported": 68,
        "paused": 69,
        "skipped": 70,
        "internal": 71,
    }


def test_every_word_is_either_the_networks_or_our_own() -> None:
    assert set(Outcome) == NETWORK | LOCAL
    assert not NETWORK & LOCAL
    assert Outcome.LATE in NETWORK
    assert {outcome.word for outcome in LOCAL} == {
        "no_fd",
        "no_buffer",
        "no_port",
        "forbidden",
        "unsupported",
        "paused",
        "skipped",
        "internal",
    }


def test_every_code_fits_the_column_it_crosses_the_wire_in() -> None:
    assert all(0 < outcome < 256 for outcome in Outcome)

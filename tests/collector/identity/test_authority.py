import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.identity.authority import (
    AHEAD_EPOCHS,
    AUTHORITY_SECONDS,
    EPOCH_SECONDS,
    SECRET_EPOCHS,
    SPREAD_SECONDS,
    SUCCEEDED_SECONDS,
    Authority,
    AuthorityError,
    advanced,
    made,
    read,
    written,
)
from collector.identity.certificates import SKEW_SECONDS, Pair, pem_of, server_pair
from collector.plan.keys import PHASE_SECONDS, group_keys
from tests.collector.identity.handshake import shakes_hands

NOW = 1_800_000_000.0
DAY = 86_400.0
FIRST = made(NOW)
KEPT = written(FIRST)
NAMES = ("netmatrix-collector", "netmatrix-collector.netmatrix.svc")


def bundle(authority: Authority) -> str:
    return "".join(map(pem_of, authority.trusted()))


def serving(authority: Authority, now: float = NOW) -> Pair:
    return server_pair(authority.signer, NAMES, ("10.0.0.1", "fd00::1"), now=now, seconds=30 * DAY)


def test_what_is_written_is_read_again() -> None:
    again = read(KEPT)
    assert again.trusted() == FIRST.trusted()
    assert again.secrets == FIRST.secrets
    assert again.signer.key_pem == FIRST.signer.key_pem
    late = advanced(FIRST, FIRST.signer.expires - 1)
    assert late.successor is not None
    assert written(read(written(late))) == written(late)


def test_a_client_with_the_bundle_trusts_the_server_under_its_names_and_addresses() -> None:
    now = time.time()  # the client's clock is the machine's
    authority = made(now)
    pair = serving(authority, now)
    for name in (*NAMES, "10.0.0.1", "fd00::1"):
        assert shakes_hands(pair, bundle(authority), name)
    for name in ("netmatrix-collector.elsewhere", "10.0.0.2"):
        assert not shakes_hands(pair, bundle(authority), name)
    assert not shakes_hands(pair, bundle(made(now)), NAMES[0]), "another authority of the same name"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ca.crt": None}, "ca.crt is missing"),
        ({"group-secrets": None}, "group-secrets is missing"),
        ({"ca.key": ""}, "ca.crt and ca.key are not one authority's"),
        ({"ca.crt": KEPT["ca.crt"][:-200]}, "ca.crt and ca.key are not one authority's"),
        ({"ca.crt": KEPT["ca.crt"] * 2}, "ca.crt and ca.key are not one authority's"),
        ({"ca.key": KEPT["ca.key"][: len(KEPT["ca.key"]) // 2]}, "ca.crt and ca.key are not one authority's"),
        ({"ca.crt": made(NOW).signer.certificate_pem}, "ca.crt and ca.key are not a pair"),
        ({"ca.crt": serving(FIRST).certificate_pem, "ca.key": serving(FIRST).key_pem}, "are not one authority's"),
        ({"next.crt": KEPT["ca.crt"]}, "next.crt and next.key"),
        ({"retired.crt": "nonsense"}, "retired.crt holds something else"),
        ({"retired.crt": serving(FIRST).certificate_pem}, "retired.crt holds something else"),
        ({"group-secrets": ""}, "group-secrets must be lines"),
        ({"group-secrets": "7 00\n"}, "group-secrets must be lines"),
        ({"group-secrets": f"8 {'00' * 32}\n7 {'00' * 32}\n"}, "group-secrets must be lines"),
    ],
)
def test_what_is_torn_or_foreign_is_refused_with_a_sentence(changes: dict[str, str | None], sentence: str) -> None:
    torn = {name: value for name, value in (KEPT | changes).items() if value is not None}
    with pytest.raises(AuthorityError, match=sentence):
        read(torn)


@given(
    st.dictionaries(
        st.sampled_from([*KEPT, "next.crt", "next.key", "retired.crt"]), st.text() | st.sampled_from([*KEPT.values()])
    )
)
def test_anything_is_an_authority_or_a_sentence_without_the_key(kept: dict[str, str]) -> None:
    said = ""
    try:
        read(KEPT | kept)
    except AuthorityError as error:
        said = str(error)
    assert KEPT["ca.key"].splitlines()[1] not in said


def test_nothing_changes_before_it_is_time() -> None:
    assert advanced(FIRST, NOW) is FIRST
    assert advanced(FIRST, NOW + (SECRET_EPOCHS - AHEAD_EPOCHS - 1) * EPOCH_SECONDS) is FIRST


def test_a_rollover_locks_out_nobody_who_reads_the_bundle_once_a_day() -> None:
    authority, now, signers = FIRST, NOW, [FIRST.signer.certificate]
    bundles = [set(authority.trusted())]
    while now < NOW + 2.5 * AUTHORITY_SECONDS:
        now += SPREAD_SECONDS / 4
        authority = advanced(authority, now)
        bundles = [*bundles[-4:], set(authority.trusted())]
        assert all(authority.signer.certificate in one for one in bundles), "of now, and of a day ago"
        assert signers[-1] in authority.trusted(), "what was signed before is still trusted"
        assert authority.signer.expires > now
        assert len(authority.trusted()) <= 3
        if authority.signer.certificate != signers[-1]:
            signers.append(authority.signer.certificate)
    assert len(signers) == 4
    lives = [(one.not_valid_before_utc.timestamp() + SKEW_SECONDS) for one in signers]
    assert all(later - earlier >= AUTHORITY_SECONDS - SUCCEEDED_SECONDS for earlier, later in pairwise(lives))


def test_an_authority_that_ended_while_nobody_looked_is_replaced_at_once() -> None:
    late = FIRST.signer.expires + 1
    assert advanced(FIRST, late).signer.expires > late


def test_a_secret_is_kept_long_before_it_is_used_and_long_enough_after() -> None:
    authority = FIRST
    epoch = int(NOW // EPOCH_SECONDS)
    used: dict[int, bytes] = {}
    for now in range(epoch, epoch + 4 * SECRET_EPOCHS):
        authority = advanced(authority, now * EPOCH_SECONDS)
        for one in range(now - 1, now + AHEAD_EPOCHS):
            if one >= epoch:
                assert used.setdefault(one, authority.secret(one)) == authority.secret(one), "a restart keeps the keys"
        assert len(authority.secrets) <= 3
    assert len(set(used.values())) == 5


def test_group_keys_follow_from_the_secret_of_their_epoch() -> None:
    authority = replace(FIRST, secrets=(*FIRST.secrets, replace(FIRST.secrets[0], since=10**6, secret=b"s" * 32)))
    before, after = (group_keys(authority.secret, 2 * epoch + 1) for epoch in (10**6 - 1, 10**6))
    assert before[1] == after[0].__class__(10**6, before[1].key)
    assert before[1] == group_keys(b"s" * 32, 2 * 10**6)[0], "spread before it is used"
    assert before[0] == group_keys(FIRST.secrets[0].secret, 2 * (10**6 - 1))[0]
    assert EPOCH_SECONDS == 2 * PHASE_SECONDS


def test_what_is_served_with_ends_with_its_authority_and_is_valid_for_clocks_that_are_late() -> None:
    pair = server_pair(FIRST.signer, NAMES, (), now=FIRST.signer.expires - DAY, seconds=30 * DAY)
    assert pair.expires == FIRST.signer.expires
    assert pair.made == FIRST.signer.expires - DAY
    assert pair.certificate.not_valid_before_utc.timestamp() == pair.made - SKEW_SECONDS


def test_a_representation_holds_no_secret() -> None:
    for secret in (FIRST.signer.key_pem.splitlines()[1], FIRST.secrets[0].secret.hex(), repr(FIRST.secrets[0].secret)):
        assert secret not in repr(FIRST)

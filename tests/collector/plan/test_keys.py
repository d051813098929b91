from hypothesis import given, settings
from hypothesis import strategies as st

from collector.plan.keys import PHASE_SECONDS, group_keys, group_secret, phase_of


def test_the_keys_do_not_depend_on_the_order_of_the_vantages_nor_on_the_process() -> None:
    one, other = group_secret(["a" * 32, "b" * 32]), group_secret(["b" * 32, "a" * 32])
    assert one == other
    assert group_keys(one, 4)[0].key.hex() == "2b9cacdba72b6025d3fb5dd54fe6d643"


def test_the_secret_depends_on_every_key() -> None:
    assert len({group_secret(keys) for keys in (["a"], ["b"], ["a", "b"], ["ab"], [])}) == 5


@given(st.integers(1, 2**32), st.binary(min_size=32, max_size=32))
@settings(max_examples=50)
def test_agents_with_the_plans_of_neighbouring_phases_accept_each_other(phase: int, secret: bytes) -> None:
    earlier, later = group_keys(secret, phase), group_keys(secret, phase + 1)
    assert earlier[0] in later
    assert later[0] in earlier


def test_each_epoch_has_a_key_of_its_own_and_lasts_an_hour() -> None:
    secret = group_secret(["a"])
    signing = [group_keys(secret, phase_of(hour * 3600))[0] for hour in range(100)]
    assert len({key.key for key in signing}) == 100
    assert [key.epoch for key in signing] == list(range(100))
    assert phase_of(PHASE_SECONDS - 0.5) == 0

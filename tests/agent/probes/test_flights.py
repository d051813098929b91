from hypothesis import given
from hypothesis import strategies as st

from agent.probes.flights import Remembered


@given(st.integers(1, 5), st.integers(1, 40))
def test_what_was_put_last_is_remembered_and_never_more_than_twice_as_much(least: int, count: int) -> None:
    remembered = Remembered[int, str](least)
    for number in range(count):
        remembered.room()[number] = str(number)
        known = [one for one in range(number + 1) if remembered.get(one) == str(one)]
        assert known == list(range(number + 1))[-len(known) :]
        assert min(least, number + 1) <= len(known) <= 2 * least

from hypothesis import given
from hypothesis import strategies as st

from agent.probes.flights import Remembered


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=80), st.integers(1, 5))
def test_what_was_used_last_is_remembered_and_all_else_is_forgotten_exactly_once(
    steps: list[tuple[bool, int]], least: int
) -> None:
    remembered, present, recent = Remembered[int, str](least), dict[int, str](), list[int]()
    for is_put, key in steps:
        if not is_put or key in present:
            assert remembered.get(key) == present.get(key)
        else:
            present[key] = str(key)
            for forgotten in remembered.put(key, str(key)):
                assert forgotten not in recent[-least:]
                del present[forgotten]
        if key in present:
            recent = [*(one for one in recent if one != key), key]
        assert sorted(remembered.values()) == sorted(present.values())
        assert len(present) <= 3 * least

import pytest

from agent import stamp
from lab.stranger import request
from wire.plan import GroupKey


def test_a_strangers_request_is_right_but_for_its_key() -> None:
    """Its proof is looked at, and that is all that is wrong with it."""
    with pytest.raises(stamp.StampError) as refusal:
        stamp.decode_request(request(7, bytes(range(16))), (GroupKey(0, bytes(32)),))
    assert refusal.value.reason == "proof"

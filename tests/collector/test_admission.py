import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.admission import MAX_TOKEN, Refusal, RefusedError, SharedKeys
from collector.discovery.snapshot import Vantage

KEYS = {"a": "a" * 32, "b": "b" * 40}
ADMISSION = SharedKeys(
    Vantage(name=name, node="n", namespace="x", pod=name, addresses=("10.0.0.1",), key=key) for name, key in KEYS.items()
)


async def test_a_key_names_its_vantage_and_no_other() -> None:
    for name, key in KEYS.items():
        assert await ADMISSION.vantage_of(f"Bearer {key}") == name
        assert await ADMISSION.vantage_of(f"bearer {key}") == name


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, Refusal.NO_TOKEN),
        ("", Refusal.NO_TOKEN),
        ("Bearer", Refusal.MALFORMED_TOKEN),
        ("Bearer ", Refusal.MALFORMED_TOKEN),
        ("Basic " + KEYS["a"], Refusal.MALFORMED_TOKEN),
        (KEYS["a"], Refusal.MALFORMED_TOKEN),
        ("Bearer  " + KEYS["a"], Refusal.MALFORMED_TOKEN),
        ("Bearer " + KEYS["a"] + "\n", Refusal.MALFORMED_TOKEN),
        ("Bearer " + "ä" * 32, Refusal.MALFORMED_TOKEN),
        ("Bearer " + "a" * (MAX_TOKEN + 1), Refusal.MALFORMED_TOKEN),
        ("Bearer " + "a" * 31, Refusal.UNKNOWN_TOKEN),
        ("Bearer " + "a" * 33, Refusal.UNKNOWN_TOKEN),
    ],
)
async def test_survive_47_a_forged_token_is_refused_with_its_reason(header: str | None, reason: Refusal) -> None:
    with pytest.raises(RefusedError) as refusal:
        await ADMISSION.vantage_of(header)
    assert refusal.value.reason is reason


async def test_a_vantage_without_a_key_is_nobody() -> None:
    keyless = SharedKeys([Vantage(name="c", node="n", namespace="x", pod="c", addresses=("10.0.0.1",))])
    with pytest.raises(RefusedError):
        await keyless.vantage_of("Bearer ")


@given(st.text(max_size=80))
@settings(max_examples=80)
async def test_no_other_text_is_let_in(text: str) -> None:
    with pytest.raises(RefusedError):
        await ADMISSION.vantage_of(text)

import pytest

from collector.moment import written


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "1970-01-01T00:00:00.000Z"), (1_800_000_000.25, "2027-01-15T08:00:00.250Z")]
)
def test_moments_are_written_as_rfc_3339_says(seconds: float, text: str) -> None:
    assert written(seconds) == text

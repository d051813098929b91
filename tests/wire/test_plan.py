"""A plan is whole or is none."""

import pytest
from msgspec import ValidationError, convert, structs, to_builtins

from wire.path import Family, Icmp, Layer, Path, Target
from wire.plan import GroupKey, Identity, Plan, PlannedPath

PATH = Path("n1", Target("node/n2", "n2", address="172.30.0.2"), Layer.HOST, Family.IPV4, Icmp())
PLAN = Plan(
    instance=1,
    generation=2,
    identity=Identity("n1", "n1", "z1"),
    keys=(GroupKey(3, bytes(16)), GroupKey(4, bytes(range(16)))),
    report_interval_ms=10_000,
    paths=(PlannedPath(PATH, 1000, 500),),
)


def test_a_plan_that_names_a_path_twice_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="names a path twice"):
        structs.replace(PLAN, paths=(PlannedPath(PATH, 1000, 500), PlannedPath(PATH, 2000, 500)))


def test_survive_49_a_plan_with_a_path_of_another_vantage_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="the plan of n1 has a path of n2"):
        structs.replace(PLAN, paths=(PlannedPath(structs.replace(PATH, vantage="n2"), 1000, 500),))


@pytest.mark.parametrize(
    "change",
    [
        {"report_interval_ms": 499},
        {"report_interval_ms": 1e4},
        {"stretched": float("nan")},
        {"stretched": float("inf")},
        {"stretched": 0.5},
        {"generation": -1},
        {"generation": 2**53 + 1},
        {"instance": -1},
        {"instance": True},
        {"version": 0},
        {"keys": [{"epoch": 1, "key": bytes(15)}]},
        {"keys": [{"epoch": 2**32, "key": bytes(16)}]},
        {"keys": [{"epoch": 1, "key": bytes(16)}] * 3},
        {"paths": [{"path": to_builtins(PATH), "interval_ms": 0, "timeout_ms": 1}]},
        {"paths": [{"path": to_builtins(PATH), "interval_ms": 1000, "timeout_ms": 60_001}]},
        {"paths": [{"path": to_builtins(PATH), "interval_ms": 86_400_001, "timeout_ms": 1}]},
    ],
)
def test_survive_56_a_number_out_of_its_range_makes_the_whole_plan_refused(change: dict[str, object]) -> None:
    sound = to_builtins(PLAN, builtin_types=(bytes,))
    assert convert(sound, Plan, builtin_types=(bytes,)) == PLAN
    with pytest.raises(ValidationError):
        convert({**sound, **change}, Plan, builtin_types=(bytes,))

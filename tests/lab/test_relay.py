from lab.relay import Rule, delay_ns, mac_bytes

HERE, THERE, ELSEWHERE = (mac_bytes(f"02:6e:6d:78:00:0{number}") for number in (1, 2, 3))


def test_a_rule_for_all_fits_every_peer_in_its_direction_only() -> None:
    rules = [Rule.of("out:*:5000")]
    assert delay_ns(rules, outward=True, destination=THERE, source=HERE) == 5000
    assert delay_ns(rules, outward=False, destination=HERE, source=THERE) == 0


def test_a_rule_for_one_peer_leaves_others_alone() -> None:
    rules = [Rule.of("in:02:6e:6d:78:00:02:7000")]
    assert delay_ns(rules, outward=False, destination=HERE, source=THERE) == 7000
    assert delay_ns(rules, outward=False, destination=HERE, source=ELSEWHERE) == 0


def test_delays_add_up() -> None:
    rules = [Rule.of("out:*:5000"), Rule.of("out:02:6e:6d:78:00:02:7000")]
    assert delay_ns(rules, outward=True, destination=THERE, source=HERE) == 12000

import pytest

from collector.discovery.snapshot import DnsServer
from collector.plan.name_servers import asks_of, dns_aims
from wire.path import Dns, Family, Layer, Path, Record

SERVER = DnsServer("cluster", ("10.96.0.10", "fd96::a"), ("www.example.test.", "a.svc.test.", "b.svc.test."))


def test_the_first_name_is_asked_for_as_a_c_library_does_and_now_and_then_over_tcp() -> None:
    assert asks_of(SERVER) == [
        (Dns("www.example.test.", Record.BOTH), 1),
        (Dns("a.svc.test.", Record.A), 3),
        (Dns("b.svc.test.", Record.A), 3),
        (Dns("www.example.test.", Record.A, tcp=True), 6),
    ]


@pytest.mark.parametrize(("contains", "record"), [("198.51.100.10", Record.A), ("2001:db8:0::1", Record.AAAA)])
def test_an_expected_address_stands_on_questions_for_the_first_name_and_its_own_family(contains: str, record: Record) -> None:
    server = DnsServer("cluster", ("10.96.0.10",), ("www.example.test.", "a.svc.test."), contains=contains)
    first, further, over_tcp = (ask for ask, _ in asks_of(server))
    assert isinstance(first, Dns)
    assert isinstance(further, Dns)
    assert isinstance(over_tcp, Dns)
    assert first.contains == over_tcp.contains == contains.replace(":0:", ":")
    assert over_tcp.record is record
    assert further.contains == ""


def test_every_address_of_a_server_is_asked_everything_on_its_port() -> None:
    server = DnsServer("node-local", ("10.96.0.10", "fd96::a"), ("www.example.test.",), port=5353)
    aims = list(dns_aims(server))
    assert [(family, target.address, every) for family, target, _, every in aims] == [
        (Family.IPV4, "10.96.0.10", 1),
        (Family.IPV4, "10.96.0.10", 6),
        (Family.IPV6, "fd96::a", 1),
        (Family.IPV6, "fd96::a", 6),
    ]
    for family, target, ask, _ in aims:
        assert (target.name, target.peer) == ("dns/node-local", "dns/node-local")
        assert isinstance(ask, Dns)
        assert ask.port == 5353
        assert Path("n1", target, Layer.DNS, family, ask).id

"""Who may have something done, by the word of a real API server, and the way there through its proxy with a real kubectl."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from collector.admission import Refusal, RefusedError
from collector.cli import main
from collector.discovery.cluster.client import Api
from collector.identity import operators
from collector.identity.operators import REVIEWS_A_SECOND, OperatorReviews
from collector.permission import Action
from tests.cluster.agents_pods import AGENT, namespace_of_agents, pod_on
from tests.cluster.api import Object
from tests.cluster.at_home import at_home
from tests.cluster.granted import collector_of
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import node, path_of
from tests.cluster.plane import Plane
from tests.cluster.published import SERVICE, published
from tests.cluster.tokens import AUDIENCE, signed_again, token, token_for_pod
from tests.collector.api.acting import Collector, all_well, with_agents

ADDRESS = "10.203.114.1"
"""Of an interface of this machine: the API server proxies to no loopback address."""
SPACE = "actions"
OPERATOR = "netmatrix-operator"
NODE = "actions-agent-1"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}"
BINDING = f"{RBAC}/rolebindings/netmatrix-actions"
Capture = pytest.CaptureFixture[str]


def may(plane: Plane, name: str, rules: list[Object], *subjects: Object, space: str = SPACE) -> None:
    """Let somebody do something in the namespace."""
    api = "rbac.authorization.k8s.io"
    rbac = f"/apis/{api}/v1/namespaces/{space}"
    plane.api.apply(f"{rbac}/roles/{name}", {"apiVersion": f"{api}/v1", "kind": "Role", "rules": rules})
    plane.api.apply(
        f"{rbac}/rolebindings/{name}",
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": list(subjects),
        },
    )


def let_act(plane: Plane) -> None:
    """Bind the account whose tokens are asked for, as the manifest does."""
    rule = {"apiGroups": ["netmatrix.io"], "resources": ["probes"], "verbs": ["create"]}
    account = {"kind": "ServiceAccount", "name": OPERATOR, "namespace": SPACE}
    may(plane, "netmatrix-actions", [rule], account)


@pytest.fixture(scope="module")
def space(plane: Plane) -> Iterator[str]:
    """A namespace with an agent, and an account that may have paths probed and nothing verified."""
    namespace_of_agents(plane, SPACE, AGENT, OPERATOR)
    let_act(plane)
    plane.api.create("/api/v1/nodes", node(NODE, ["192.0.2.78"]))
    yield SPACE
    for pod in plane.api.items(f"/api/v1/namespaces/{SPACE}/pods"):
        plane.api.delete(path_of(pod), grace=0)
    plane.api.delete(f"/api/v1/nodes/{NODE}")


class Asking:
    """A permission that asks the API server with the collector's rights."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.counts: Counter[str] = Counter()
        self.later = 0.0
        self.reviews = OperatorReviews(
            api,
            namespace=SPACE,
            count=lambda word: self.counts.update([word]),
            clock=lambda: time.monotonic() + self.later,
        )

    async def permitted(self, token: str, action: Action) -> str:
        return await self.reviews.permitted(token, action)

    async def ask(self, token: str, action: Action = Action.PROBE) -> str:
        try:
            return await self.permitted(token, action)
        except RefusedError as error:
            return error.reason


@pytest.fixture
async def asking(plane: Plane, space: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    monkeypatch.setattr(operators, "REVIEW_SECONDS", 60.0)  # of an API server on a machine that does much else
    monkeypatch.setattr(operators, "REVIEWS_A_SECOND", 1000)
    api = Api(collector_of(plane, space))
    yield Asking(api)
    await api.close()


def operators_token(plane: Plane) -> str:
    return token(plane.api, SPACE, OPERATOR, audience=AUDIENCE)


async def test_survive_47_each_token_may_do_what_its_account_may(plane: Plane, asking: Asking) -> None:
    good = operators_token(plane)
    agent = token_for_pod(plane.api, pod_on(plane, SPACE, "agent", NODE))
    strange_key = ec.generate_private_key(ec.SECP256R1())
    verdicts = {
        "its own": (good, f"system:serviceaccount:{SPACE}:{OPERATOR}"),
        "an agent's": (agent, Refusal.NOT_PERMITTED),
        "for the API server": (token(plane.api, SPACE, OPERATOR), Refusal.OTHER_AUDIENCE),
        "for another audience": (token(plane.api, SPACE, OPERATOR, audience="elsewhere"), Refusal.OTHER_AUDIENCE),
        "expired": (signed_again(good, plane.credentials.signing_key, exp=int(time.time()) - 3600), Refusal.EXPIRED_TOKEN),
        "signed by somebody else": (signed_again(good, strange_key), Refusal.UNKNOWN_TOKEN),
        "garbage": ("garbage", Refusal.MALFORMED_TOKEN),
        "a megabyte": ("A" * 1_000_000, Refusal.MALFORMED_TOKEN),
    }
    assert {name: await asking.ask(one) for name, (one, _) in verdicts.items()} == {
        name: verdict for name, (_, verdict) in verdicts.items()
    }
    assert asking.counts == {"valid": 2, "refused": 1}, "the others cost no review"
    assert await asking.ask(good, Action.VERIFY) == Refusal.NOT_PERMITTED, "what it may is to have paths probed"


async def test_survive_53_a_token_that_was_refused_is_not_asked_about_again_for_a_while(plane: Plane, asking: Asking) -> None:
    agent = token_for_pod(plane.api, pod_on(plane, SPACE, "again", NODE))
    for _ in range(20):
        assert await asking.ask(agent) == Refusal.NOT_PERMITTED
    assert asking.api.requests == 2
    asking.later += 60.0
    assert await asking.ask(agent) == Refusal.NOT_PERMITTED
    assert asking.api.requests == 4


async def test_survive_53_forged_tokens_cost_no_more_reviews_than_the_rate(
    plane: Plane, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "REVIEW_SECONDS", 60.0)
    api = Api(collector_of(plane, space))
    one = Asking(api)
    head, payload, signature = operators_token(plane).split(".")
    forged = [f"{head}.{payload}.{number:04d}{signature[4:]}" for number in range(2000)]
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one.ask(token)) for token in forged]
    seconds = time.monotonic() - began
    assert {task.result() for task in running} <= {Refusal.UNKNOWN_TOKEN, Refusal.REVIEW_RATE, Refusal.REVIEW_AWAY}
    assert api.requests <= REVIEWS_A_SECOND * (seconds + 1)
    await api.close()


async def test_a_right_that_was_taken_away_is_gone(plane: Plane, asking: Asking) -> None:
    good = operators_token(plane)
    name = f"system:serviceaccount:{SPACE}:{OPERATOR}"
    assert await asking.ask(good) == name
    plane.api.delete(BINDING)
    try:
        async with asyncio.timeout(60):
            said = name
            while said == name:  # until the API server's own view of it has changed
                said = await asking.ask(good)
        assert await asking.ask(good) == Refusal.NOT_PERMITTED
    finally:
        let_act(plane)


async def test_survive_13_without_the_api_server_nothing_is_done(plane: Plane, asking: Asking) -> None:
    good = operators_token(plane)
    with plane.without_api_server():
        assert await asking.ask(good) == Refusal.REVIEW_AWAY
    assert await asking.ask(good) == f"system:serviceaccount:{SPACE}:{OPERATOR}"


@dataclass
class Person:
    """Somebody with the rights of the ClusterRole, and a collector behind the API server's proxy that asks the API server."""

    collector: Collector
    kubectl: Kubectl
    words: list[str]

    async def run(self, *words: str) -> int:
        """The command, while agents do as they are told."""
        return int(await with_agents(self.collector, all_well, asyncio.to_thread(main, [*words, *self.words])))

    async def create(self, body: str) -> str:
        """What comes of a POST by kubectl, or its complaint."""
        page = f"/api/v1/namespaces/{SPACE}/services/http:{SERVICE}:http-metrics/proxy/api/v1/actions/probe"

        def created() -> str:
            try:
                return self.kubectl.run("create", "--raw", page, "-f", "-", given=body)
            except RuntimeError as error:
                return str(error)

        return str(await with_agents(self.collector, all_well, asyncio.to_thread(created)))


@pytest.fixture
async def person(plane: Plane, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Person]:
    if os.geteuid() != 0:
        pytest.skip("an interface needs root")
    monkeypatch.delenv("NETMATRIX_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{plane.programs}:/usr/bin:/bin")
    collector = Collector(tmp_path / "none")
    collector.actions._permission = asking
    collector.actions._round_seconds = collector.actions._body_seconds = 60.0
    proxy = {"resources": ["services/proxy"], "resourceNames": [f"http:{SERVICE}:http-metrics"], "verbs": ["get", "create"]}
    tokens = {"resources": ["serviceaccounts/token"], "resourceNames": [OPERATOR], "verbs": ["create"]}
    user = {"kind": "User", "name": "person", "apiGroup": "rbac.authorization.k8s.io"}
    may(plane, "person", [{"apiGroups": [""], **rule} for rule in (proxy, tokens)], user)
    runner = web.AppRunner(collector.app())
    await runner.setup()
    with at_home(ADDRESS):
        await web.TCPSite(runner, ADDRESS, 0).start()
        with published(plane, SPACE, ADDRESS, int(runner.addresses[0][1])):
            kubeconfig = plane.credentials.user("person")
            words = ["--kubeconfig", str(kubeconfig), "-n", SPACE, "--timeout", "60"]
            one = Person(collector, Kubectl(plane, kubeconfig), words)
            async with asyncio.timeout(60):
                status = 3
                while status == 3:  # until the API server knows the endpoint
                    status = await one.run("agents")
            yield one
        await runner.cleanup()


async def test_a_person_has_paths_probed_through_the_api_server_with_a_token_that_kubectl_makes(
    person: Person, capsys: Capture
) -> None:
    assert await person.run("probe", "n1", "agent-n2", "--kind", "udp", "--count", "3") == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-4:] == ["3", "0.0%", "50µs", "answered"]


async def test_kubectl_alone_is_enough(person: Person) -> None:
    made = person.kubectl.run("create", "token", OPERATOR, f"--namespace={SPACE}", f"--audience={AUDIENCE}", "--duration=10m")
    body = {"token": made.strip(), "from": "n1", "to": "agent-n2", "kind": "udp"}
    answer = json.loads(await person.create(json.dumps(body)))
    assert [path["state"] for path in answer["paths"]] == ["answered"]


async def test_survive_60_without_a_token_of_ours_the_way_through_the_proxy_is_of_no_use(
    plane: Plane, person: Person, asking: Asking
) -> None:
    assert asking.api.requests == 0
    anonymous = await person.create('{"from": "n1", "to": "agent-n2"}')
    late = await person.create(json.dumps({"from": "n1", "to": "agent-n2", "token": operators_token(plane)}))
    long = await person.create(json.dumps({"token": operators_token(plane), "from": "n1", "to": "x" * 8192}))
    assert asking.api.requests == 0, "none of them was worth a question"
    agent = token_for_pod(plane.api, pod_on(plane, SPACE, "curious", NODE))
    stranger = await person.create(json.dumps({"token": agent, "from": "n1", "to": "agent-n2"}))
    assert "Forbidden" in stranger
    assert all(one.startswith("kubectl create ") for one in (anonymous, late, long, stranger)), "it complains"
    assert person.collector.refused == {"no_token": 2, "oversized": 1, "not_permitted": 1}


@pytest.mark.usefixtures("person")
async def test_without_the_right_to_a_token_it_says_so(plane: Plane, capsys: Capture) -> None:
    stranger = plane.credentials.user("stranger-to-actions")
    assert await asyncio.to_thread(main, ["probe", "n1", "n2", "--kubeconfig", str(stranger), "-n", SPACE]) == 3
    assert 'cannot create resource "serviceaccounts/token"' in capsys.readouterr().err

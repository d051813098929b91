"""What may stand in a configuration about receivers, and what each mistake is called."""

import json

import pytest

from collector.document import BadFileError
from collector.receivers import Notify, shown
from collector.settings import parse_settings


def notify(text: str) -> Notify:
    return parse_settings(f"notify: {text}", name="config.yaml").notify


def test_nobody_is_told_unless_somebody_is_named() -> None:
    off = Notify()
    assert (off.alertmanager.urls, off.webhooks, off.events) == ((), (), False)


def test_what_people_write_is_taken() -> None:
    found = notify("""
        alertmanager: {urls: ["http://alertmanager.monitoring:9093"], least: warning}
        webhooks:
          - {name: chat, url_file: /var/run/secrets/chat/url, escape: html, body: {text: "{{ sentence }}"}}
          - {name: pager, url: "https://pager.example.com/v2", headers: [{name: Authorization, file: /token}], resolved: false}
        events: true
        resend: 30s
    """)
    assert [one.name for one in found.webhooks] == ["chat", "pager"]
    assert found.alertmanager.least == "warning"


ENCRYPTED = "what is in a file is secret, and goes over https only"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{webhooks: [{name: a}]}", "notify.webhooks[0]: a webhook needs either url or url_file"),
        (
            "{webhooks: [{name: a, url: 'https://a', url_file: /b}]}",
            "notify.webhooks[0]: a webhook needs either url or url_file",
        ),
        ("{webhooks: [{name: a, url: 'https://a', body: '{{ x }}'}]}", "notify.webhooks[0]: body: there is no value x"),
        ("{webhooks: [{name: a, url: 'https://a'}, {name: a, url: 'https://b'}]}", "notify: two webhooks have one name"),
        ("{webhooks: [{name: events, url: 'https://a'}]}", "notify: a webhook has a name that is taken"),
        ("{webhooks: [{name: 'a b', url: 'https://a'}]}", "notify.webhooks[0].name: a b has characters"),
        ("{webhooks: [{name: a, url: 'gopher://a'}]}", "notify.webhooks[0]: url: expected an URL such as"),
        ("{webhooks: [{name: a, url: 'https://[::1'}]}", "notify.webhooks[0]: url: it is no URL"),
        (
            "{webhooks: [{name: a, url: 'https://u:hunter2@a/'}]}",
            "notify.webhooks[0]: url: a name or a password does not belong",
        ),
        ("{webhooks: [{name: a, url: 'http://a', headers: [{name: A, file: /b}]}]}", ENCRYPTED),
        ("{alertmanager: {urls: ['http://a'], headers: [{name: A, file: /b}]}}", ENCRYPTED),
        ("{alertmanager: {headers: [{name: Host, value: b}]}}", "notify.alertmanager.headers[0]: the header Host is set by"),
        ("{alertmanager: {headers: [{name: 'A:', value: b}]}}", "notify.alertmanager.headers[0].name: A: has characters"),
        (
            '{alertmanager: {headers: [{name: A, value: "b\\nX: c"}]}}',
            "notify.alertmanager.headers[0]: the value has characters that no header has",
        ),
        ("{alertmanager: {headers: [{name: A}]}}", "notify.alertmanager.headers[0]: a header needs either file or value"),
        ("{alertmanager: {urls: ['http://a/?b=c']}}", "notify.alertmanager: urls: it has a query"),
        ("{alertmanager: {urls: ['http://a', 'http://a']}}", "notify.alertmanager: urls: one stands twice"),
        ("{alertmanager: {urls: ['http://a'], least: most}}", "notify.alertmanager.least: most is not allowed"),
        ("{resend: 1s}", "notify: resend must be 10s to 10m, not 1s"),
        ("{timeout: 2m}", "notify: timeout must be 1s to 60s, not 2m"),
        ("{telegram: {}}", "notify.telegram: unknown key; allowed are alertmanager, cluster"),
        ("{external_url: 'javascript:alert(1)'}", "notify: external_url: expected an URL"),
    ],
)
def test_a_mistake_is_said_in_one_sentence_that_names_its_place(text: str, sentence: str) -> None:
    with pytest.raises(BadFileError) as caught:
        notify(text)
    assert str(caught.value).startswith("config.yaml: notify")
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:9093",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost:8080",
        "http://metadata.google.internal/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
    ],
)
def test_a_webhook_is_no_way_to_the_machine_itself_or_to_its_cloud(url: str) -> None:
    for text in (f"{{alertmanager: {{urls: ['{url}']}}}}", f"{{webhooks: [{{name: a, url: '{url}'}}]}}"):
        with pytest.raises(BadFileError, match="nothing is sent there"):
            notify(text)


def test_the_machine_itself_can_be_allowed_and_its_cloud_cannot() -> None:
    assert notify("{loopback: true, alertmanager: {urls: ['http://127.0.0.1:9093', 'http://localhost:1']}}").loopback
    with pytest.raises(BadFileError, match="nothing is sent there"):
        notify("{loopback: true, alertmanager: {urls: ['http://169.254.169.254']}}")


def test_survive_58_whoever_may_read_the_settings_sees_no_secret_of_a_receiver() -> None:
    text = """
        alertmanager: {urls: ["https://a.example/prefix-s3cret"], headers: [{name: X, value: s3cret}]}
        webhooks: [{name: w, url: "https://hooks.example/T0/s3cret?token=s3cret", body: {key: s3cret}}]
    """
    seen = json.dumps(shown(notify(text)))
    assert "s3cret" not in seen
    assert "hooks.example" in seen

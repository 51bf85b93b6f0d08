"""A configuration of Falco's k8saudit plugin means the same here; what has no effect is said."""

import json
import re
from typing import Any

import pytest

from ingest.aws.options import AwsOptions
from ingest.base import SourceError
from ingest.k8saudit.cloudwatch import CloudWatchOptions
from ingest.k8saudit.files import LogOptions
from ingest.k8saudit.listener import ListenOptions
from ingest.k8saudit.open_params import Opened, translate, translate_eks
from ingest.k8saudit.tls import TlsOptions
from ingest.k8saudit.webhook import WebhookOptions

ALL: dict[str, Any] = {
    "sslCertificate": "/tls.pem",
    "maxEventSize": 262144,
    "webhookMaxBatchSize": 12582912,
    "useAsync": False,
}


@pytest.mark.parametrize(
    ("open_params", "host", "port", "path"),
    [
        ("http://:9765/k8s-audit", "0.0.0.0", 9765, "/k8s-audit"),
        ("http://10.0.0.1:80/a/b", "10.0.0.1", 80, "/a/b"),
        ("http://[::1]:81/x", "::1", 81, "/x"),
        ("http://localhost", "localhost", 9765, "/k8s-audit"),
    ],
)
def test_a_url_is_a_webhook(open_params: str, host: str, port: int, path: str) -> None:
    assert translate(open_params) == Opened(WebhookOptions(ListenOptions(host, port), path=path))


@pytest.mark.parametrize("init_config", [ALL, json.dumps(ALL)])
def test_every_key_of_the_plugin_has_its_meaning(init_config: Any) -> None:
    opened = translate("https://:9765/k8s-audit", init_config)
    listen = ListenOptions("0.0.0.0", 9765, TlsOptions("/tls.pem"))
    assert opened.options == WebhookOptions(listen, max_body_bytes=12582912)
    assert [note.split()[0] for note in opened.notes] == ["maxEventSize", "useAsync"]


def test_https_without_a_certificate_has_that_of_falco() -> None:
    options = translate("https://:9765/k8s-audit", "").options
    assert isinstance(options, WebhookOptions)
    assert options.listen.tls == TlsOptions("/etc/falco/falco.pem")


def test_a_file_url_is_followed_from_its_end_and_a_path_is_read_once() -> None:
    followed = translate("file:///var/log/audit.log")
    assert followed.options == LogOptions("/var/log/audit.log")
    assert "state" in followed.notes[0]
    assert translate("/var/log/audit") == Opened(path="/var/log/audit")


def test_unknown_keys_are_tolerated_and_said() -> None:
    assert translate("http://:1/x", {"sslCert": "x"}).notes == ["sslCert is not known and has no effect"]


@pytest.mark.parametrize(
    ("open_params", "init_config", "finding"),
    [
        ("", "", "open_params is ''"),
        ("sqs://queue", "", "expected http://:9765/k8s-audit"),
        ("http://:99999/x", "", "open_params http://:99999/x"),
        ("http://:1/x", "{", "init_config is no JSON"),
        ("http://:1/x", "[]", "init_config is no JSON object"),
        ("http://:1/x", {"maxEventSize": "1"}, "init_config.maxEventSize: '1' is of type str, not int"),
        ("http://:1/x", {"webhookMaxBatchSize": 0}, "less than 1"),
    ],
)
def test_a_mistake_is_told(open_params: str, init_config: Any, finding: str) -> None:
    with pytest.raises(SourceError, match=re.escape(finding)):
        translate(open_params, init_config)


def test_an_eks_cluster() -> None:
    given = {"profile": "p", "region": "eu-west-1", "polling_interval": 7, "shift": 10, "buffer_size": 500,
             "use_async": False, "max_event_size": 1}  # fmt: skip
    for form in (given, json.dumps(given)):
        opened = translate_eks("prod", form)
        aws = AwsOptions(profile="p", region="eu-west-1")
        assert opened.options == CloudWatchOptions("prod", poll_interval=7.0, since=10.0, aws=aws)
        assert [note.split()[0] for note in opened.notes] == ["buffer_size", "use_async", "max_event_size", "the"]


def test_an_eks_cluster_without_more() -> None:
    opened = translate_eks("prod")
    assert opened.options == CloudWatchOptions("prod")
    assert opened.options.group == "/aws/eks/prod/cluster"


@pytest.mark.parametrize(
    ("open_params", "config", "message"),
    [
        ("", "", "name of an EKS cluster"),
        ("eks://prod", "", "name of an EKS cluster"),
        ("prod", {"region": 5}, "init_config.region: 5 is of type int, not str"),
        ("prod", {"polling_interval": True}, "is of type bool, not int"),
    ],
)
def test_an_eks_configuration_that_makes_no_sense(open_params: str, config: Any, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        translate_eks(open_params, config)

"""Every service by HTTP gets what its documentation asks for; what is no 2xx is told apart."""

import hashlib
import hmac
import json
import re
import ssl
import textwrap
from pathlib import Path
from typing import Any

import pytest

from engine.alert import Alert
from engine.priority import Priority
from lanner.errors import ConfigError
from lanner.outputs.base import Output, Undelivered
from lanner.outputs.kinds import OUTPUT_TYPES, OutputConfig
from lanner.settings import Reader, kind_name, walk
from lanner.yamltree import parse
from tests.ingest.k8saudit import certs
from tests.lanner.outputs.receiver import Received, alert, receiving


def configured(kind: str, text: str) -> OutputConfig:
    reader = Reader()
    node = parse(f"type: {kind}\n{textwrap.dedent(text)}", "f.yaml")
    found = OutputConfig.from_node(reader, node, "outputs[0]")
    if reader.findings:
        raise ConfigError("\n".join(reader.findings))
    assert found is not None
    return found


async def delivered(output: Output, *alerts: Alert) -> None:
    await output.start()
    try:
        await output.deliver(alerts or (alert(),))
    finally:
        await output.close()


async def sent(kind: str, text: str, *alerts: Alert, answer: Any = b"", status: int = 200) -> Received:
    async with receiving() as receiver:
        receiver.answer(status, answer)
        await delivered(configured(kind, text.replace("URL", receiver.url)).open(), *alerts)
    assert len(receiver.got) == 1
    return receiver.got[0]


async def test_http_posts_falcos_json() -> None:
    got = await sent("http", "url: URL/in")
    assert (got.method, got.path) == ("POST", "/in")
    assert got.headers["Content-Type"] == "application/json"
    assert got.json == json.loads(alert().json(with_uid=True))
    assert got.headers["User-Agent"].startswith("lanner/")


async def test_http_can_sign_authenticate_compress_and_add_headers() -> None:
    options = "url: URL\nmethod: PUT\ntoken: t\nhmac_secret: k\ncompress: true\nheaders: {X-Team: soc}\nformat: text"
    got = await sent("http", options)
    assert got.method == "PUT"
    assert (got.headers["Authorization"], got.headers["X-Team"]) == ("Bearer t", "soc")
    assert got.headers["Content-Encoding"] == "gzip"
    assert got.headers["X-Lanner-Signature"] == "sha256=" + hmac.new(b"k", got.body, hashlib.sha256).hexdigest()
    assert got.body.decode() == alert().text()


@pytest.mark.parametrize(("form", "is_json"), [("falco-json", True), ("ecs", True), ("cef", False), ("text", False)])
async def test_several_alerts_are_an_array_or_lines(form: str, is_json: bool) -> None:
    got = await sent("http", f"url: URL\nformat: {form}\nbatch: 3", alert(), alert(uid="2"), alert(uid="3"))
    assert len(got.json if is_json else got.body.splitlines()) == 3


async def test_batches_are_as_large_as_configured_and_in_order() -> None:
    async with receiving() as receiver:
        output = configured("http", f"url: {receiver.url}\nbatch: 2").open()
        await delivered(output, *(alert(uid=str(number)) for number in range(5)))
    uids = [[item["lanner"]["uid"] for item in got.json] for got in receiver.got]
    assert uids == [["0", "1"], ["2", "3"], ["4"]]


async def test_cloudevents() -> None:
    got = await sent("cloudevents", "url: URL")
    assert got.headers["Content-Type"] == "application/cloudevents+json"
    event = got.json
    assert (event["specversion"], event["id"], event["source"]) == ("1.0", "00ff", "/lanner/h1/aws_cloudtrail")
    assert event["data"]["rule"] == "Trail stopped"


async def test_slack_escapes_what_could_format_or_mention() -> None:
    got = await sent("slack", "webhook_url: URL/services/x", alert(message="<!channel> & <http://x|y>"))
    attachment = got.json["attachments"][0]
    assert attachment["color"] == "#d32f2f"
    header, section, facts, tags = attachment["blocks"]
    assert header["text"]["text"] == "Critical: Trail stopped"
    assert section["text"]["text"] == "&lt;!channel&gt; &amp; &lt;http://x|y&gt;"
    assert {"type": "mrkdwn", "text": "*ct.user*\nalice"} in facts["fields"]
    assert tags["elements"][0]["text"] == "T1562.008, aws"


async def test_slack_keeps_to_its_limits() -> None:
    fields = {f"field.{number}": "<" * 4000 for number in range(40)}
    got = await sent("slack", "webhook_url: URL", alert(rule="r" * 400, message="&" * 9000, output_fields=fields))
    header, section, facts, _ = got.json["attachments"][0]["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(section["text"]["text"]) <= 3000
    assert len(facts["fields"]) <= 10
    assert all(len(field["text"]) <= 2000 for field in facts["fields"])


async def test_a_template_says_what_rooms_read() -> None:
    options = "webhook_url: URL\ncontent: text\ntemplate: '%alert.field[ct.user] in %alert.field[ct.region]'"
    blocks = (await sent("slack", options)).json["attachments"][0]["blocks"]
    assert [block["type"] for block in blocks] == ["header", "section", "context"]
    assert blocks[1]["text"]["text"] == "alice in eu-west-1"


async def test_teams_gets_an_adaptive_card() -> None:
    got = await sent("teams", "webhook_url: URL", status=202)
    card = got.json["attachments"][0]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    title, text, facts = card["content"]["body"]
    assert (title["text"], title["color"]) == ("Critical: Trail stopped".replace(":", "\\:"), "attention")
    assert text["text"] == r"alice stopped \<b\>trail\</b\> & more"
    assert {"title": "ct.user", "value": "alice"} in facts["facts"]


async def test_discord_mentions_nobody() -> None:
    got = await sent("discord", "webhook_url: URL", alert(message="@everyone **x**"), status=204)
    assert got.json["allowed_mentions"] == {"parse": []}
    embed = got.json["embeds"][0]
    assert (embed["description"], embed["color"]) == (r"\@everyone \*\*x\*\*", 0xD32F2F)
    assert embed["timestamp"] == "2025-10-09T08:53:20.123Z"


@pytest.mark.parametrize("kind", ["mattermost", "rocketchat"])
async def test_attachments(kind: str) -> None:
    attachment = (await sent(kind, "webhook_url: URL")).json["attachments"][0]
    assert attachment["title"] == "Critical: Trail stopped"
    assert {"title": "ct.user", "value": "alice", "short": True} in attachment["fields"]


async def test_google_chat() -> None:
    card = (await sent("googlechat", "webhook_url: URL")).json["cardsV2"][0]["card"]
    assert card["header"]["title"] == "Critical: Trail stopped"
    assert (
        card["sections"][0]["widgets"][0]["textParagraph"]["text"]
        == "alice stopped &lt;b&gt;trail&lt;/b&gt; &amp; more"
    )


async def test_telegram() -> None:
    got = await sent("telegram", "url: URL\ntoken: '12:ab'\nchat_id: '-100'\nthread_id: 7")
    assert got.path == "/bot12:ab/sendMessage"
    assert (got.json["chat_id"], got.json["message_thread_id"], got.json["parse_mode"]) == ("-100", 7, "HTML")
    assert "stopped &lt;b&gt;trail" in got.json["text"]


@pytest.mark.parametrize(
    ("priority", "severity"), [(0, "critical"), (2, "critical"), (3, "error"), (4, "warning"), (6, "info")]
)
async def test_pagerduty(priority: int, severity: str) -> None:
    got = await sent(
        "pagerduty", "url: URL\nrouting_key: k", alert(priority=Priority(priority), message="m" * 3000), status=202
    )
    event = got.json
    assert (got.path, event["routing_key"], event["event_action"]) == ("/v2/enqueue", "k", "trigger")
    assert (event["dedup_key"], event["payload"]["severity"]) == ("00ff", severity)
    assert len(event["payload"]["summary"]) == 1024
    assert event["payload"]["custom_details"]["ct.user"] == "alice"


async def test_regions_have_their_own_servers() -> None:
    from lanner.outputs.oncall import OpsgenieOptions, PagerDutyOptions, opsgenie, pagerduty

    there = pagerduty(PagerDutyOptions(routing_key="k", region="eu")).request([alert()]).url
    assert there == "https://events.eu.pagerduty.com/v2/enqueue"
    assert (
        opsgenie(OpsgenieOptions(api_key="k", region="eu")).request([alert()]).url.startswith("https://api.eu.opsgenie")
    )


@pytest.mark.parametrize(("priority", "expected"), [(0, "P1"), (1, "P1"), (2, "P2"), (3, "P3"), (4, "P4"), (5, "P5")])
async def test_opsgenie(priority: int, expected: str) -> None:
    got = await sent("opsgenie", "url: URL\napi_key: k", alert(priority=Priority(priority), rule="r" * 300), status=202)
    assert got.headers["Authorization"] == "GenieKey k"
    assert (got.json["alias"], got.json["priority"], len(got.json["message"])) == ("00ff", expected, 130)


async def test_alertmanager() -> None:
    options = (
        "url: URL\nlabel_fields: [ct.user]\nextra_labels: {team: soc}\nseverities: {critical: page}\nexpires_after: 60"
    )
    got = await sent("alertmanager", options)
    assert got.path == "/api/v2/alerts"
    (posted,) = got.json
    assert (
        posted["labels"] | {"alertname": "Trail stopped", "ct_user": "alice", "team": "soc", "severity": "page"}
        == posted["labels"]
    )
    assert posted["annotations"]["description"] == alert().message
    assert posted["startsAt"].startswith("2025-10-09T08:53:20")
    assert posted["endsAt"] > posted["startsAt"]


async def test_elasticsearch_makes_documents_by_the_alerts_uid() -> None:
    options = "url: URL\nindex: a\nsuffix: daily\nusername: u\npassword: p\npipeline: x"
    got = await sent("elasticsearch", options, alert(), alert(uid="2"), answer={"errors": False, "items": []})
    assert got.path == "/_bulk?pipeline=x"
    assert got.headers["Authorization"] == "Basic dTpw"
    action, document, second, _ = got.lines
    assert action == {"create": {"_index": "a-2025.10.09", "_id": "00ff"}}
    assert second["create"]["_id"] == "2"
    assert (document["@timestamp"], document["event"]["kind"]) == ("2025-10-09T08:53:20.123456789Z", "alert")
    assert document["threat"]["technique"]["id"] == ["T1562.008"]


@pytest.mark.parametrize(
    ("statuses", "taken", "refused"),
    [([201, 409, 429], 2, False), ([201, 400, 201], 1, True), ([201, 409, 200], None, False), ([503], 0, False)],
)
async def test_elasticsearch_says_document_by_document_what_it_took(
    statuses: list[int], taken: int | None, refused: bool
) -> None:
    items = [{"create": {"status": status, "error": {"reason": "why"}}} for status in statuses]
    alerts = [alert(uid=str(number)) for number in range(len(statuses))]
    if taken is None:
        await sent("elasticsearch", "url: URL", *alerts, answer={"errors": True, "items": items})
        return
    with pytest.raises(Undelivered, match="why") as failure:
        await sent("elasticsearch", "url: URL", *alerts, answer={"errors": True, "items": items})
    assert (failure.value.taken, failure.value.refused) == (taken, refused)


async def test_elasticsearch_behind_something_that_answers_200_to_all_is_no_delivery() -> None:
    with pytest.raises(Undelivered, match="no answer of a bulk request: <html>"):
        await sent("elasticsearch", "url: URL", answer=b"<html>login</html>")


async def test_loki_has_few_labels() -> None:
    options = "url: URL\ntenant: t\nextra_labels: {env: prod}"
    got = await sent("loki", options, alert(), alert(uid="2"), alert(rule="other"), status=204)
    assert (got.path, got.headers["X-Scope-OrgID"]) == ("/loki/api/v1/push", "t")
    first, second = got.json["streams"]
    assert first["stream"] == {
        "job": "lanner",
        "source": "aws_cloudtrail",
        "priority": "critical",
        "rule": "Trail stopped",
        "hostname": "h1",
        "env": "prod",
    }
    assert [len(first["values"]), len(second["values"])] == [2, 1]
    assert first["values"][0][0] == "1760000000123456789"


async def test_splunk() -> None:
    got = await sent("splunk", "url: URL\ntoken: t\nindex: sec", answer={"text": "Success", "code": 0})
    assert (got.path, got.headers["Authorization"]) == ("/services/collector/event", "Splunk t")
    assert (got.json["index"], got.json["sourcetype"], got.json["host"]) == ("sec", "lanner:alert", "h1")
    assert got.json["event"]["output_fields"]["ct.user"] == "alice"


async def test_datadog() -> None:
    got = await sent("datadog", "url: URL\napi_key: k", status=202)
    (entry,) = got.json
    assert (got.path, got.headers["DD-API-KEY"], entry["status"]) == ("/api/v2/logs", "k", "critical")
    assert entry["ddtags"].startswith("rule:Trail stopped,eventsource:aws_cloudtrail")


async def test_otlp() -> None:
    got = await sent("otlp", "url: URL\nattributes: {env: prod}", answer={})
    assert got.path == "/v1/logs"
    resource = got.json["resourceLogs"][0]
    assert {"key": "env", "value": {"stringValue": "prod"}} in resource["resource"]["attributes"]
    record = resource["scopeLogs"][0]["logRecords"][0]
    assert (record["timeUnixNano"], record["severityNumber"]) == ("1760000000123456789", 21)
    assert {"key": "n", "value": {"intValue": "3"}} in record["attributes"]


async def test_otlp_that_takes_the_request_and_not_the_record_is_not_asked_again() -> None:
    with pytest.raises(Undelivered, match="too old") as failure:
        await sent(
            "otlp", "url: URL", answer={"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too old"}}
        )
    assert failure.value.refused


@pytest.mark.parametrize(
    ("status", "headers", "after", "refused"),
    [
        (500, {}, None, False),
        (503, {"Retry_After": "7"}, 7.0, False),
        (429, {"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0, False),
        (401, {}, None, False),
        (404, {}, None, False),
        (400, {}, None, True),
        (413, {}, None, True),
        (422, {}, None, True),
    ],
)
async def test_what_an_answer_means(status: int, headers: dict[str, str], after: float | None, refused: bool) -> None:
    async with receiving() as receiver:
        receiver.answers = [(200, b"", {}), (200, b"", {})]
        output = configured("http", f"url: {receiver.url}").open()
        await output.start()
        receiver.answers = [(200, b"", {})]
        await output.deliver([alert()])
        receiver.answer(status, b"no such\nthing", **headers)
        receiver.answers.insert(0, (200, b"", {}))
        with pytest.raises(Undelivered, match=rf"http://127.0.0.1:\d+ answers {status}: no such thing") as failure:
            await output.deliver([alert(), alert(), alert()])
        await output.close()
    assert (failure.value.taken, failure.value.after, failure.value.refused) == (1, after, refused)


async def test_a_redirect_is_told_and_not_followed() -> None:
    async with receiving() as receiver:
        receiver.answer(301, Location="https://elsewhere.example/path/secret")
        with pytest.raises(Undelivered, match=r"redirect \(301\) to https://elsewhere.example; give the URL behind it"):
            await delivered(configured("http", f"url: {receiver.url}").open())
    assert len(receiver.got) == 1


async def test_a_server_that_is_silent_or_not_there_is_told_without_its_path() -> None:
    async with receiving() as receiver:

        async def hang() -> None:
            import asyncio

            await asyncio.sleep(5)

        receiver.before = hang
        with pytest.raises(Undelivered, match=r"^http://127.0.0.1:\d+: no answer within 0.1 s$"):
            await delivered(configured("slack", f"webhook_url: {receiver.url}/secret\ntimeout: 0.1").open())
    with pytest.raises(Undelivered) as failure:
        await delivered(configured("slack", f"webhook_url: {receiver.url}/secret").open())
    assert "secret" not in str(failure.value)


async def test_both_sides_may_ask_for_certificates(tmp_path: Path) -> None:
    authority = certs.Authority()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    server = certs.write(tmp_path, authority.issue("server", ip="127.0.0.1"), "server")
    certificate, key = certs.write(tmp_path, authority.issue("lanner"), "client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    context.load_cert_chain(*server)
    context.verify_mode = ssl.CERT_REQUIRED
    async with receiving(ssl_context=context) as receiver:
        trusting = f"url: {receiver.url}\ntls: {{ca_file: {ca}, cert_file: {certificate}, key_file: {key}}}"
        await delivered(configured("http", trusting).open())
        assert len(receiver.got) == 1
        with pytest.raises(Undelivered, match="certificate verify failed"):
            await delivered(configured("http", f"url: {receiver.url}").open())
        with pytest.raises(Undelivered):
            await delivered(configured("http", f"url: {receiver.url}\ntls: {{insecure: true}}").open())
        assert len(receiver.got) == 1


async def test_a_tls_file_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    from lanner.errors import OutputError

    output = configured("http", f"url: https://x\ntls: {{ca_file: {tmp_path}/none}}").open()
    with pytest.raises(OutputError, match="none: cannot be used for TLS: No such file"):
        await output.start()


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("http", "url: ftp://x", "outputs[0]: url: wanted is a URL that begins with http:// or https://"),
        ("http", "url: http://x\nbatch: 0", "batch: at least one alert"),
        ("http", "url: http://x\nformat: xml", "outputs[0].format: wanted is falco-json or text or ecs or ocsf or cef"),
        (
            "slack",
            "webhook_url: http://x\ntemplate: '%alert.rul'",
            "outputs[0]: template: source alert has no field 'alert.rul' (column 2); did you mean 'alert.rule'?",
        ),
        ("slack", "url: http://x", "outputs[0].url: unknown key"),
        ("slak", "", "outputs[0].type: unknown type 'slak'; did you mean 'slack'?"),
        ("http", "url: http://x\nminimum_priority: loud", "outputs[0].minimum_priority: unknown priority 'loud'"),
        ("alertmanager", "url: http://x\nseverities: {loud: x}", "unknown priority 'loud'"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_with_its_place(kind: str, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        configured(kind, text)
    assert told in str(error.value)
    assert str(error.value).startswith("f.yaml:")


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
def test_the_example_of_every_kind_is_right_and_its_keys_have_sentences(kind: str) -> None:
    assert configured(kind, re.sub(r"\$\{file:[^}]*\}", "https://x", OUTPUT_TYPES[kind].example)).name == kind
    for path, key in walk(OUTPUT_TYPES[kind].load()[0]):
        assert key.doc.endswith("."), path
        assert "<" not in kind_name(key.kind), path

"""
Alerts for people in chat rooms.

What events carry is a stranger's text: it is escaped for each service, so that it can neither format nor mention.
Sources: the services' own pages on incoming webhooks and bots, with the limits on lengths that they state.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine import times
from engine.alert import Alert
from lanner.alertfields import BadText, alert_text
from lanner.outputs.forms import COLOURS, cut, shown_fields
from lanner.outputs.http import HttpOptions, Request, Service, checked_url, json_request

_FIELDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions(HttpOptions):
    """
    A chat room behind an incoming webhook.

    Attributes:
        webhook_url: The room's URL; it is a secret.
        content: Whether a message has the alert's fields beside its text.
        template: The message's text, with %alert.rule, %alert.message, %alert.field[ct.user] and the like.
    """

    webhook_url: str
    content: Literal["all", "text"] = "all"
    template: str = "%alert.message"


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramOptions(HttpOptions):
    """
    A Telegram chat, written to by a bot.

    Attributes:
        token: The bot's token.
        chat_id: Of the chat, or @name of a channel.
        thread_id: Topic within the chat.
        url: Of the API.
        template: The message's text, with %alert.rule, %alert.message, %alert.field[ct.user] and the like.
    """

    token: str
    chat_id: str
    thread_id: int | None = None
    url: str = "https://api.telegram.org"
    template: str = "%alert.message"


@dataclass(frozen=True, slots=True)
class _Message:
    """What every room shows: a headline, the text, facts by name, and the alert for the rest."""

    title: str
    text: str
    facts: Mapping[str, str]
    alert: Alert


def _service(options: ChatOptions, payload: Any) -> Service:
    url = checked_url(options.webhook_url, "webhook_url")
    text = _template(options.template)

    def request(alerts: Sequence[Alert]) -> Request:
        alert = alerts[0]
        facts = _facts(alert) if options.content == "all" else {}
        title = f"{alert.priority.label}: {alert.rule}"
        return json_request(url, payload(_Message(title, text(alert), facts, alert)))

    return Service(request)


def _template(template: str) -> Any:
    try:
        return alert_text(template)
    except BadText as error:
        raise ValueError(f"template: {error}") from None


def _facts(alert: Alert) -> Mapping[str, str]:
    about = {"Source": alert.source, "Host": alert.hostname, "Time": times.utc_json(alert.time_ns)}
    return {**about, **shown_fields(alert, _FIELDS - len(about))}


def slack(options: ChatOptions) -> Service:
    """Return Slack: a headline, the text and facts as blocks beside a coloured bar."""
    return _service(options, _slack)


def _slack(message: _Message) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(message.title, 150), "emoji": False}},
        {"type": "section", "text": _mrkdwn(message.text, 3000)},
    ]
    if message.facts:
        fields = [_mrkdwn_fact(name, value) for name, value in message.facts.items()]
        blocks.append({"type": "section", "fields": fields})
    if message.alert.tags:
        blocks.append({"type": "context", "elements": [_mrkdwn(", ".join(message.alert.tags), 2000)]})
    colour = f"#{COLOURS[message.alert.priority]:06x}"
    return {"text": _slack_text(cut(message.title, 150)), "attachments": [{"color": colour, "blocks": blocks}]}


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mrkdwn(text: str, most: int) -> dict[str, str]:
    return {"type": "mrkdwn", "text": _fitting(text, most), "verbatim": True}  # type: ignore[dict-item]


def _mrkdwn_fact(name: str, value: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": f"*{_slack_text(cut(name, 100))}*\n{_fitting(value, 1800)}"}


def _fitting(text: str, most: int) -> str:
    """Return an escaped text that is not longer than allowed after escaping."""
    while len(escaped := _slack_text(text)) > most:
        text = cut(text, max(1, len(text) - (len(escaped) - most)))
    return escaped


def attachments(options: ChatOptions) -> Service:
    """Return Mattermost or Rocket.Chat: an attachment with a coloured bar and short fields."""
    return _service(options, _attachment)


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>@:])")


def _markdown(text: str) -> str:
    """Take the meaning from what Markdown, mentions and emoji names would give one."""
    return _MARKDOWN.sub(r"\\\1", text)


def _attachment(message: _Message) -> dict[str, Any]:
    fields = [
        {"title": name, "value": _markdown(cut(value, 1000)), "short": True} for name, value in message.facts.items()
    ]
    attachment = {
        "fallback": cut(message.title, 300),
        "color": f"#{COLOURS[message.alert.priority]:06x}",
        "title": cut(message.title, 300),
        "text": _markdown(cut(message.text, 4000)),
        "fields": fields,
    }
    return {"text": "", "attachments": [attachment]}


def teams(options: ChatOptions) -> Service:
    """Return Microsoft Teams: an Adaptive Card, as webhooks of Workflows take it."""
    return _service(options, _teams)


def _teams(message: _Message) -> dict[str, Any]:
    colour = "attention" if message.alert.priority <= 3 else "warning" if message.alert.priority <= 5 else "default"
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": _markdown(cut(message.title, 300)), "weight": "bolder", "size": "medium"}
        | {"color": colour, "wrap": True},
        {"type": "TextBlock", "text": _markdown(cut(message.text, 8000)), "wrap": True},
    ]
    if message.facts:
        facts = [{"title": name, "value": _markdown(cut(value, 1000))} for name, value in message.facts.items()]
        body.append({"type": "FactSet", "facts": facts})
    card = {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4"}
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {**card, "body": body}}
    return {"type": "message", "attachments": [content]}


def discord(options: ChatOptions) -> Service:
    """Return Discord: an embed; nobody can be mentioned."""
    return _service(options, _discord)


def _discord(message: _Message) -> dict[str, Any]:
    fields = [
        {"name": cut(name, 256), "value": _markdown(cut(value, 200)) or "-", "inline": True}
        for name, value in message.facts.items()
    ]
    embed = {
        "title": cut(message.title, 256),
        "description": cut(_markdown(message.text), 2000),
        "color": COLOURS[message.alert.priority],
        "fields": fields,
        "timestamp": f"{times.utc_json(message.alert.time_ns)[:23]}Z",
    }
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def google_chat(options: ChatOptions) -> Service:
    """Return Google Chat: a card with decorated lines."""
    return _service(options, _google_chat)


def _google_chat(message: _Message) -> dict[str, Any]:
    widgets: list[dict[str, Any]] = [{"textParagraph": {"text": html.escape(cut(message.text, 4000), quote=False)}}]
    for name, value in message.facts.items():
        text = html.escape(cut(value, 500), quote=False)
        widgets.append({"decoratedText": {"topLabel": cut(name, 100), "text": text, "wrapText": True}})
    card = {"header": {"title": cut(message.title, 200)}, "sections": [{"widgets": widgets}]}
    return {"text": cut(message.title, 200), "cardsV2": [{"cardId": message.alert.uid, "card": card}]}


def telegram(options: TelegramOptions) -> Service:
    """Return Telegram: a text in the HTML that its bots may send."""
    url = f"{checked_url(options.url)}/bot{options.token}/sendMessage"
    text = _template(options.template)

    def request(alerts: Sequence[Alert]) -> Request:
        alert = alerts[0]
        title = html.escape(cut(f"{alert.priority.label}: {alert.rule}", 300), quote=False)
        body = html.escape(cut(text(alert), 700), quote=False)
        payload: dict[str, Any] = {"chat_id": options.chat_id, "text": f"<b>{title}</b>\n{body}", "parse_mode": "HTML"}
        if options.thread_id is not None:
            payload["message_thread_id"] = options.thread_id
        return json_request(url, {**payload, "link_preview_options": {"is_disabled": True}})

    return Service(request)

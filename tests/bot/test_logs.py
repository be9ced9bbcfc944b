"""Logs: readable by people or programs, and no token in them wherever it came from."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot.logs import REDACTED, configure_logging, redact

# Put together here, so that no scanner takes them for real ones.
BODY = "Ab1-" + "x9_Z" * 9
TOKENS = {
    "Slack bot": "xox" + "b-1234567890-0987654321-" + "AbCdEf" * 4,
    "Slack user": "xox" + "p-1-2-3-" + "ab12" * 8,
    "Slack refresh": "xox" + "e-1-" + "My0xLTI" * 8,
    "Slack rotated": "xox" + "e.xox" + "b-1-" + "My0xLTI" * 8,
    "Slack app": "xap" + "p-1-A01-23-" + "ab12" * 16,
    "Telegram": "123456789" + ":" + "AA" + "Hq_x-9Zk" * 4,
    "Telegram, long id": "98765432101" + ":" + "AA" + "Hq_x-9Zk" * 4,
    "OpenAI": "sk" + "-proj-" + BODY,
    "OpenAI, old": "sk" + "-" + "Ab12" * 12,
    "Anthropic": "sk" + "-ant-api03-" + BODY,
    "LangSmith": "lsv2" + "_pt_" + "0a1b" * 8 + "_0a1b2c",
    "Groq": "gsk" + "_" + "Ab12" * 12,
    "Hugging Face": "hf" + "_" + "Ab12" * 8,
    "Google": "AIza" + "Sy_-Ab12" * 4 + "x",
}
PLACES = (
    "{}",
    "token={}",
    "?token={}&x=1",
    "Authorization: Bearer {}",
    "authorization: bearer {}",
    "'{}'",
    '{{"token":"{}"}}',
    "failed with {}: no",
    "é{}",
)


class Log:
    """Made within the test itself: pytest gives each phase another standard error."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], level: str = "info", style: str = "json"
    ) -> None:
        self._capsys = capsys
        configure_logging(level, style)

    @property
    def text(self) -> str:
        return self._capsys.readouterr().err

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def secret_part(token: str) -> str:
    return token[-12:]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("vendor", TOKENS)
def test_a_token_is_redacted_wherever_it_stands(vendor: str, place: str) -> None:
    text = redact(place.format(TOKENS[vendor]))
    assert secret_part(TOKENS[vendor]) not in text
    assert REDACTED in text


@pytest.mark.parametrize("vendor", ["Telegram", "Telegram, long id"])
def test_the_token_in_every_address_of_telegram_is_redacted(vendor: str) -> None:
    for path in ("bot{}/getMe", "file/bot{}/photos/1.jpg", "bot{}/test/sendMessage?x=1"):
        text = redact("https://api.telegram.org/" + path.format(TOKENS[vendor]))
        assert text == "https://api.telegram.org/" + path.format(REDACTED)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("redis://user:p@ss:w0rd@host:6379/0", "@host:6379/0"),
        ("rediss://:p@ssw0rd@host", "@host"),
        ("https://hooks.slack.com/services/T1/B1/passw0rd", "https://hooks.slack.com/"),
        ("bot123456789%3AAA" + "Hq_x-9Zk" * 4, "bot"),
        ("Bearer p.ss~w0rd+/=", "Bearer "),
    ],
)
def test_passwords_and_secret_addresses_are_redacted(text: str, kept: str) -> None:
    cleaned = redact(text)
    assert kept in cleaned
    assert "w0rd" not in cleaned
    assert "Zk" not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "turn 0197f9e2-7b3c-7def-8a01-3b5c9d2e4f60 took 12:30:45",
        "http://127.0.0.1:8080/ready asked by a@example.org",
        "slack/T1/C1/1731456789.123456",
        "telegram/123456789/-1001234567890/",
        "the task-force asked; risk-averse people, ask-me-anything-about-it",
        "see https://example.org/a:b and mail me@example.org",
        "Bearers of news",
    ],
)
def test_text_without_secrets_stays_readable(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.sampled_from(sorted(TOKENS)))
def test_no_surrounding_text_shields_a_token(around: str, vendor: str) -> None:
    token = TOKENS[vendor]
    assert secret_part(token) not in redact(f"{around} {token} {around}")


def fail(token: str) -> None:
    raise ValueError(f"refused: {token}")


class Thing:
    def __repr__(self) -> str:
        return f"Thing({TOKENS['Telegram']})"


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("vendor", TOKENS)
def test_every_way_into_the_log_is_redacted(
    capsys: pytest.CaptureFixture[str], style: str, vendor: str
) -> None:
    log = Log(capsys, style=style)
    ours, theirs = structlog.get_logger("keepthread.test"), logging.getLogger("some.library")
    token = TOKENS[vendor]
    ours.info(f"event {token}", kwarg=token, nested={token: [token, (token,)]}, raw=token.encode())
    ours.warning("error", error=ValueError(token), thing=Thing(), name=repr(token))
    ours.bind(bound=token).info("bound")
    with structlog.contextvars.bound_contextvars(context=token):
        ours.info("context")
        theirs.info("context")
    theirs.warning("plain %s and %r", token, {"in": token})
    theirs.warning(f"formatted {token}", extra={"more": token})
    theirs.error("an object", exc_info=ValueError(token))
    for logger in (ours, theirs):
        try:
            fail(token)
        except ValueError:
            logger.exception("went wrong")
    theirs.warning("where", stack_info=True)
    logging.captureWarnings(True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old: {token}", stacklevel=1)
    text = log.text
    assert secret_part(token) not in text
    assert secret_part(TOKENS["Telegram"]) not in text
    assert text.count(REDACTED) > 12
    assert "Traceback" in text
    assert "went wrong" in text


def test_every_line_is_a_json_event(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys)
    structlog.get_logger("keepthread.test").info(
        "done", turn="t1", count=3, share=0.5, ok=True, nothing=None, ids=("a", "b")
    )
    logging.getLogger("some.library").warning("two\nlines %d", 7)
    ours, theirs = log.events
    assert ours["event"] == "done"
    assert ours["logger"] == "keepthread.test"
    assert ours["level"] == "info"
    assert (ours["turn"], ours["count"], ours["share"], ours["ok"]) == ("t1", 3, 0.5, True)
    assert ours["nothing"] is None
    assert ours["ids"] == ["a", "b"]
    assert ours["timestamp"].endswith("Z")
    assert theirs["event"] == "two\nlines 7"
    assert theirs["logger"] == "some.library"


def test_an_address_with_a_password_leaves_the_line_readable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = Log(capsys)
    structlog.get_logger("keepthread.test").info(
        "x", url="http://host:8080", mail="a@b", redis="redis://u:p@h"
    )
    (event,) = log.events
    assert event["url"] == "http://host:8080"
    assert event["mail"] == "a@b"
    assert event["redis"] == f"redis://{REDACTED}@h"


def test_records_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys, "error")
    structlog.get_logger("keepthread.test").warning("quiet")
    logging.getLogger("some.library").warning("quiet")
    structlog.get_logger("keepthread.test").error("loud")
    assert [event["event"] for event in log.events] == ["loud"]


def test_requests_of_libraries_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys)
    for name in ("httpx", "telegram.Bot", "slack_sdk.web", "openai._base_client"):
        logging.getLogger(name).info("HTTP Request: POST")
    assert log.events == []


def test_configuring_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(capsys)
    configure_logging("info", "json")
    structlog.get_logger("keepthread.test").info("once")
    assert len(log.events) == 1


def test_the_style_is_text_on_a_terminal_and_json_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = Log(capsys, style="auto")
    structlog.get_logger("keepthread.test").info("piped")
    assert log.events[0]["event"] == "piped"
    log = Log(capsys, style="text")
    structlog.get_logger("keepthread.test").info("typed", turn="t1")
    text = log.text
    assert "typed" in text
    assert "turn=t1" in text
    assert not text.startswith("{")


def test_text_logs_hold_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = Log(capsys, style="text")
    structlog.get_logger("keepthread.test").info("a team", name="evil\x1b[2J\x9b2J\u202e!")
    try:
        raise ValueError("\x1b]0;title\x07 in a traceback")
    except ValueError:
        structlog.get_logger("keepthread.test").exception("broken")
    text = log.text
    assert "name=evil[2J2J!" in text
    assert "]0;title in a traceback" in text
    assert not set(text) & set("\x1b\x07\x9b\u202e")

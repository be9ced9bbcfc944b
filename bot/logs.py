"""Logs: structured, JSON when nobody watches, tokens redacted wherever they come from."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from bot.text import plain

_SECRET = re.compile(
    r"xox[a-z](?:\.xox[a-z])?-[\w-]+"  # Slack tokens
    r"|xapp-[\w-]+"
    r"|(?<=hooks\.slack\.com/)[\w./-]+"  # whoever has the address may post there
    r"|(?<!\d)\d{6,}(?::|%3[Aa])[A-Za-z0-9_-]{30,}"  # Telegram bot tokens, also after `/bot`
    r"|(?<![A-Za-z0-9])(?:sk|pk|lsv2|gsk|xai|hf|r8)[-_][\w-]{12,}"  # model and LangSmith keys
    r"|(?<![A-Za-z0-9])AIza[\w-]{30,}"
    r"|(?i:(?<=bearer )|(?<=bearer%20))[\w.~+/=-]+"
    r"|(?<=://)[^/@\s:\"']*:[^/\s\"']+(?=@)"  # user and password in an address
)
REDACTED = "[secret]"

CHATTY = (
    "httpx",
    "httpx2",
    "httpcore",
    "openai",
    "telegram",
    "slack_bolt",
    "slack_sdk",
    "aiohttp.access",
)
"""Libraries that log each request at INFO, some with the token in its address."""


def redact(text: str) -> str:
    """`text` without anything shaped like a token."""
    return _SECRET.sub(REDACTED, text)


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _redacted(value)
    return event


def _redacted(value: object) -> object:
    """Of anything, also within lists and mappings; what is no plain data becomes its `repr`."""
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {redact(str(name)): _redacted(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redacted(one) for one in value]
    return redact(repr(value))


def _plain_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names and texts of strangers stand in logs, and people read those on terminals."""
    return {key: plain(value) if isinstance(value, str) else value for key, value in event.items()}


def configure_logging(level: str, style: str = "auto") -> None:
    """Send all logs to standard error, through one formatter.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        style: `json`, `text`, or `auto`: text on a terminal, JSON elsewhere.
    """
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    rendered: list[Any] = (
        [structlog.processors.JSONRenderer()]  # it escapes
        if as_json
        else [_plain_event, structlog.dev.ConsoleRenderer(colors=False)]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact_event,
            *rendered,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [one for one in root.handlers if getattr(one, "keepthread", False)]:
        root.removeHandler(old)
    handler.keepthread = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )

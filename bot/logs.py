"""Logging: structured, JSON unless on a terminal, with every token redacted."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from bot.text import strip_controls

_SECRET = re.compile(
    r"xox[a-z](?:\.xox[a-z])?-[\w-]+"  # Slack tokens
    r"|xapp-[\w-]+"
    r"|(?<=hooks\.slack\.com/)[\w./-]+"  # the address alone allows posting
    r"|(?<!\d)\d{6,}(?::|%3[Aa])[A-Za-z0-9_-]{30,}"  # Telegram bot tokens, also after `/bot`
    r"|(?<![A-Za-z0-9])(?:sk|pk|lsv2|gsk|xai|hf|r8)[-_][\w-]{12,}"  # model and LangSmith keys
    r"|(?<![A-Za-z0-9])AIza[\w-]{30,}"
    r"|(?i:(?<=bearer )|(?<=bearer%20))[\w.~+/=-]+"
    r"|(?<=://)[^/@\s:\"']*:[^/\s\"']+(?=@)"  # user and password in an address
)
REDACTED = "[secret]"

QUIETED_LOGGERS = (
    "httpx",
    "httpx2",
    "httpcore",
    "openai",
    "telegram",
    "slack_bolt",
    "slack_sdk",
    "aiohttp.access",
)
"""Loggers raised to WARNING: they log each request at INFO, some with the token in its address."""


def redact(text: str) -> str:
    """`text` without anything shaped like a token."""
    return _SECRET.sub(REDACTED, text)


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _redacted(value)
    return event


def _redacted(value: object) -> object:
    """A log field without tokens, also within lists and mappings; other objects become their `repr`."""
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {redact(str(name)): _redacted(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redacted(item) for item in value]
    return redact(repr(value))


def _strip_controls(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Log fields without control characters: texts of strangers are read on terminals."""
    return {
        key: strip_controls(value) if isinstance(value, str) else value
        for key, value in event.items()
    }


class LogHandler(logging.StreamHandler[TextIO]):
    """Handler that `configure_logging` installed, and replaces when it is called again."""


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
        else [_strip_controls, structlog.dev.ConsoleRenderer(colors=False)]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact_event,
            *rendered,
        ],
    )
    handler = LogHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, LogHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIETED_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
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

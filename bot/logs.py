"""Logs: structured, JSON when nobody watches, tokens redacted wherever they come from."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(
    r"xox[a-z](?:\.xox[a-z])?-[\w-]+"  # Slack tokens
    r"|xapp-[\w-]+"
    r"|\b\d{6,}:[A-Za-z0-9_-]{30,}"  # Telegram bot tokens, also within addresses
    r"|\b(?:sk|lsv2|pk)[-_][\w-]{12,}"  # model and LangSmith keys
    r"|(?<=Bearer )[\w.~+/=-]+"
    r"|(?<=://)[^/@\s:]*:[^/@\s]+(?=@)"  # user and password in an address
)
REDACTED = "[secret]"


def redact(text: str) -> str:
    """`text` without anything shaped like a token."""
    return _SECRET.sub(REDACTED, text)


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event


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
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact_event,
            renderer,
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
    for chatty in (
        "httpx",
        "httpx2",
        "httpcore",
        "openai",
        "telegram",
        "slack_bolt",
        "slack_sdk",
        "aiohttp.access",
    ):
        # At INFO these log each request, some with the token in its address.
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

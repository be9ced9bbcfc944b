"""Factory of the tracer from settings, which alone decide whether turns are traced.

LangChain traces by itself when the environment holds `LANGCHAIN_TRACING_V2` or a similar name. That is
always switched off here: `bot.settings.core` reads those names, and our own tracer does the work.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot.errors import SettingsError
from bot.ports import Tracer
from bot.tracing.langsmith import LangSmithTracer
from bot.tracing.noop import NoopTracer
from bot.tracing.sender import Batch, Sender

if TYPE_CHECKING:
    from langsmith import Client

    from bot.settings import Settings

logger = logging.getLogger(__name__)

AUTOMATIC_TRACING_VARIABLES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
"""Environment variables that make LangChain trace by itself."""
OLD_TRACER_VARIABLES = ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER")
"""Environment variables of LangChain's first tracer: they make each call trace, or fail."""
SERVER_INFO: dict[str, Any] = {
    "version": "0.8.10",
    "instance_flags": {},
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
        "scale_up_nthreads_limit": 1,
        "scale_up_qsize_trigger": 1_000,
        "scale_down_nempty_trigger": 4,
    },
}
"""Response to `GET /info`, given to the client so that it does not request it."""
LIBRARY_LOGGERS = ("langsmith.client", "urllib3.connectionpool")
"""Loggers that warn of each failed request; for the sender's thread `Sender.report_failure` does."""


def build_tracer(settings: Settings) -> Tracer:
    """The LangSmith tracer if tracing is on and its settings are complete; else the no-op tracer.

    Raises:
        SettingsError: the environment holds LangSmith variables that contradict each other.
    """
    switch_off_automatic_tracing()
    if not settings.langsmith_tracing:
        return NoopTracer()
    if is_key_missing(settings):
        logger.warning("LANGSMITH_TRACING is on, but LANGSMITH_API_KEY is not set: not tracing.")
        return NoopTracer()

    from langsmith import uuid7

    def send(batch: Batch) -> None:
        client.multipart_ingest(
            create=[run for operation, run in batch if operation == "post"],
            update=[run for operation, run in batch if operation == "patch"],
        )

    sender = Sender(send)
    client = build_client(settings, sender.report_failure)
    for name in LIBRARY_LOGGERS:
        logging.getLogger(name).addFilter(sender.log_filter)

    def release() -> None:
        for name in LIBRARY_LOGGERS:
            logging.getLogger(name).removeFilter(sender.log_filter)
        client.close(timeout=0)

    return LangSmithTracer(
        sender, project=settings.langsmith_project, new_id=uuid7, release=release
    )


def switch_off_automatic_tracing() -> None:
    """Keep LangChain from tracing by itself, whatever the environment holds."""
    for name in OLD_TRACER_VARIABLES:
        os.environ.pop(name, None)
    if any(os.environ.get(name) for name in AUTOMATIC_TRACING_VARIABLES):
        # Only then: importing langsmith takes a good part of a second.
        import langsmith

        langsmith.configure(enabled=False)


def is_key_missing(settings: Settings) -> bool:
    """Whether a key is needed and not set. LangSmith's cloud needs one, a self-hosted server may not."""
    host = urlsplit(settings.langsmith_endpoint).hostname or ""
    hosted = host == "langchain.com" or host.endswith(".langchain.com")
    return hosted and not _key(settings)


def _key(settings: Settings) -> str:
    return settings.langsmith_api_key.get_secret_value() if settings.langsmith_api_key else ""


def build_client(
    settings: Settings,
    report_failure: Callable[[Exception], None] | None = None,
    *,
    retries: int = 1,
) -> Client:
    """LangSmith client without automatic work: no threads, no `/info`, no environment in metadata."""
    import langsmith
    from langsmith import utils
    from urllib3.util import Retry

    langsmith.configure(enabled=False)
    try:
        return langsmith.Client(
            settings.langsmith_endpoint,
            api_key=_key(settings),
            info=SERVER_INFO,
            auto_batch_tracing=False,
            omit_traced_runtime_info=True,
            tracing_mode="langsmith",
            disable_prompt_cache=True,
            tracing_error_callback=report_failure,
            timeout_ms=(3_000, 10_000),
            retry_config=Retry(
                total=retries,
                backoff_factor=0.5,
                status_forcelist=(429, 502, 503, 504),
                allowed_methods=None,
                raise_on_status=False,
                respect_retry_after_header=False,
            ),
        )
    except utils.LangSmithUserError as error:
        raise SettingsError(str(error), cure="Unset LANGSMITH_RUNS_ENDPOINTS.") from None

"""From settings to a tracer. Settings are the only truth about whether a turn is traced.

LangChain traces by itself when it finds `LANGCHAIN_TRACING_V2` and its like in the environment.
Here that is always switched off: `bot.settings.core` reads those names, and our own tracer does the work.
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

SWITCHES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
"""What makes LangChain trace by itself."""
OLD_SWITCHES = ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER")
"""What is left of LangChain's first tracer: makes each call trace, or fail, depending on the value."""
INFO: dict[str, Any] = {
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
"""What `GET /info` would say. Given to the client, so that it does not ask."""
LIBRARY_LOGGERS = ("langsmith.client", "urllib3.connectionpool")
"""Where the libraries warn of each failed request; of those from our thread, `Sender.failed` tells."""


def build_tracer(settings: Settings) -> Tracer:
    """LangSmith if it is switched on and can be reached with what is set; else silence.

    Raises:
        SettingsError: the environment holds LangSmith variables that contradict each other.
    """
    switch_off_automatic_tracing()
    if not settings.langsmith_tracing:
        return NoopTracer()
    if _key_is_missing(settings):
        logger.warning("LANGSMITH_TRACING is on, but LANGSMITH_API_KEY is not set: not tracing.")
        return NoopTracer()

    from langsmith import uuid7

    def send(batch: Batch) -> None:
        client.multipart_ingest(
            create=[run for operation, run in batch if operation == "post"],
            update=[run for operation, run in batch if operation == "patch"],
        )

    sender = Sender(send)
    client = _client(settings, sender.failed)
    for name in LIBRARY_LOGGERS:
        logging.getLogger(name).addFilter(sender.mutes)

    def release() -> None:
        for name in LIBRARY_LOGGERS:
            logging.getLogger(name).removeFilter(sender.mutes)
        client.close(timeout=0)

    return LangSmithTracer(
        sender, project=settings.langsmith_project, new_id=uuid7, release=release
    )


def switch_off_automatic_tracing() -> None:
    """Keep LangChain from tracing on its own, whatever the environment says."""
    for name in OLD_SWITCHES:
        os.environ.pop(name, None)
    if any(os.environ.get(name) for name in SWITCHES):
        # Only then: importing langsmith takes a good part of a second.
        import langsmith

        langsmith.configure(enabled=False)


def _key_is_missing(settings: Settings) -> bool:
    """LangSmith's own cloud needs a key; a server of one's own may not."""
    host = urlsplit(settings.langsmith_endpoint).hostname or ""
    hosted = host == "langchain.com" or host.endswith(".langchain.com")
    return hosted and not _key(settings)


def _key(settings: Settings) -> str:
    return settings.langsmith_api_key.get_secret_value() if settings.langsmith_api_key else ""


def _client(
    settings: Settings, failed: Callable[[Exception], None] | None = None, *, retries: int = 1
) -> Client:
    """A client that does nothing by itself: no threads, no `/info`, no environment in metadata."""
    import langsmith
    from langsmith import utils
    from urllib3.util import Retry

    langsmith.configure(enabled=False)
    try:
        return langsmith.Client(
            settings.langsmith_endpoint,
            api_key=_key(settings),
            info=INFO,
            auto_batch_tracing=False,
            omit_traced_runtime_info=True,
            tracing_mode="langsmith",
            disable_prompt_cache=True,
            tracing_error_callback=failed,
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

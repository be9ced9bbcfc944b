"""Check of the LangSmith settings for `keepthread doctor`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bot.errors import SettingsError
from bot.logs import redact
from bot.ports import Check
from bot.tracing.factory import build_client, is_key_missing

if TYPE_CHECKING:
    from bot.settings import Settings

CHECK_TIMEOUT_S = 3.0


async def check(settings: Settings) -> list[Check]:
    """Check that LangSmith accepts the key. Takes a few seconds at most."""
    name = "LangSmith"
    if not settings.langsmith_tracing:
        return [Check(name, "off", "not tracing", "Set LANGSMITH_TRACING=true to trace turns.")]
    if is_key_missing(settings):
        return [
            Check(
                name, "failed", "no key, so not tracing", "Set LANGSMITH_API_KEY to a key of yours."
            )
        ]
    return [await asyncio.to_thread(_check_connection, settings)]


def _check_connection(settings: Settings) -> Check:
    from langsmith import utils

    name, where = "LangSmith", redact(settings.langsmith_endpoint)
    try:
        client = build_client(settings, retries=0)
    except SettingsError as error:
        return Check(name, "failed", error.detail, error.cure)
    try:
        client.request_with_retries(
            "GET", "/sessions", params={"limit": 1}, timeout=CHECK_TIMEOUT_S
        )
    except utils.LangSmithAuthError:
        return Check(name, "failed", f"{where} refused the key", "Correct LANGSMITH_API_KEY.")
    except utils.LangSmithUserError:
        cure = "Set LANGSMITH_WORKSPACE_ID: the key is of an organisation."
        return Check(name, "failed", f"{where} wants a workspace", cure)
    except (utils.LangSmithConnectionError, OSError):  # requests' own errors are OSErrors
        cure = "Check LANGSMITH_ENDPOINT and the network. Turns are answered without it."
        return Check(name, "failed", f"{where} cannot be reached", cure)
    except utils.LangSmithError as error:
        response = getattr(error.__context__, "response", None)
        if response is not None and response.status_code == 403:
            cure = "Use a LANGSMITH_API_KEY that may write to this workspace."
            return Check(name, "failed", f"{where} refused the key's rights", cure)
        cure = "Check LANGSMITH_ENDPOINT, and LangSmith's own state. Turns are answered without it."
        return Check(name, "failed", f"{where} does not answer as LangSmith does", cure)
    finally:
        client.close(timeout=0)
    return Check(name, "ok", f"project {settings.langsmith_project} at {where}")

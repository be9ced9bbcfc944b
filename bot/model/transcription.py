"""Transcription of speech at an OpenAI-compatible endpoint (`POST {base}/audio/transcriptions`).

Format: https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

import mimetypes
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bot.conversation import Attachment
from bot.errors import (
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelKeyRefused,
    ModelMissing,
    ModelTimeout,
    ModelUnreachable,
    PromptRefused,
    PromptTooLong,
)
from bot.logs import redact
from bot.text import clean_text

if TYPE_CHECKING:
    import httpx2

    from bot.settings import Settings

MAX_AUDIO_BYTES = 25 * 1024 * 1024
"""Largest upload that the endpoint accepts (OpenAI's speech-to-text guide)."""

DEFAULT_MODEL = "gpt-4o-mini-transcribe"
_OPENAI = "https://api.openai.com/v1"
_EXTENSIONS = {
    "audio/ogg": ".ogg",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
}
_EXTENSION_ALIASES = {
    ".oga": ".ogg",
    ".opus": ".ogg",
    ".aac": ".m4a",
}  # the endpoint knows the format by the extension


class Transcriber:
    """Client of the transcription endpoint, opened at the first use."""

    def __init__(
        self, settings: Settings, *, model: str = DEFAULT_MODEL, timeout_s: float = 120
    ) -> None:
        self._settings = settings
        self._model = model
        self._timeout_s = timeout_s
        self._client: httpx2.AsyncClient | None = None

    @property
    def is_configured(self) -> bool:
        """Whether there is an endpoint: the local model cannot transcribe."""
        return not self._settings.uses_local_model

    async def transcribe(self, data: bytes, attachment: Attachment) -> str:
        """Text of the speech in `data`; `""` if there is none.

        Raises:
            ModelError: the request failed; `ModelMissing` where the endpoint cannot transcribe.
        """
        import httpx2

        if not self.is_configured:
            raise ModelMissing("the local model cannot listen", cure="Set OPENAI_API_KEY.")
        if len(data) > MAX_AUDIO_BYTES:
            raise PromptTooLong(f"{len(data)} bytes of audio, limit {MAX_AUDIO_BYTES}")
        name, media_type = _file_name(attachment), attachment.media_type or "audio/ogg"
        try:
            response = await self._open_client().post(
                "audio/transcriptions",
                data={"model": self._model, "response_format": "json"},
                files={"file": (name, data, media_type)},
            )
        except httpx2.TimeoutException as error:
            raise ModelTimeout(f"transcription: {type(error).__name__}") from error
        except httpx2.HTTPError as error:
            raise ModelUnreachable(redact(f"transcription: {error!r}")) from error
        if response.status_code != 200:
            raise _status_error(response)
        try:
            return clean_text(str(response.json()["text"])).strip()
        except (ValueError, KeyError, TypeError) as error:
            raise ModelBroken("the transcription is no transcription") from error

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _open_client(self) -> httpx2.AsyncClient:
        import httpx2

        if self._client is None:
            key = self._settings.openai_api_key
            headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
            base = (self._settings.openai_base_url or _OPENAI).rstrip("/") + "/"
            self._client = httpx2.AsyncClient(
                base_url=base, headers=headers, timeout=httpx2.Timeout(self._timeout_s, connect=10)
            )
        return self._client


def _file_name(attachment: Attachment) -> str:
    path = PurePath(attachment.name or "voice")
    extension = _EXTENSIONS.get(attachment.media_type) or path.suffix.lower()
    extension = extension or mimetypes.guess_extension(attachment.media_type) or ".ogg"
    return f"{path.stem or 'voice'}{_EXTENSION_ALIASES.get(extension, extension)}"


def _status_error(response: httpx2.Response) -> ModelError:
    """The ModelError for a response other than 200."""
    detail = redact(f"transcription: HTTP {response.status_code} {response.text[:300]}")
    status = response.status_code
    classes: dict[int, type[ModelError]] = {
        401: ModelKeyRefused,
        403: ModelKeyRefused,
        404: ModelMissing,
        405: ModelMissing,
        408: ModelTimeout,
        413: PromptTooLong,
        501: ModelMissing,
        504: ModelTimeout,
    }
    if status in (429, 502, 503):
        after = response.headers.get("retry-after", "")
        return ModelBusy(detail, retry_after_s=float(after) if after.isdigit() else None)
    if status in classes:
        return classes[status](detail)
    return ModelBroken(detail) if status >= 500 else PromptRefused(detail)

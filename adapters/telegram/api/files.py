"""File downloads: `file_path` of getFile, fetched in pieces, or read from the folder of a local Bot API server.

https://core.telegram.org/bots/api#getfile, https://github.com/tdlib/telegram-bot-api#usage (`--local`)
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import httpx
from telegram.error import InvalidToken

from adapters.telegram.api.client import READ_S, Client
from adapters.telegram.api.errors import telegram_errors
from adapters.telegram.settings import TelegramSettings
from bot.errors import FileTooLarge, PlatformError, PlatformRefused, PlatformUnreachable
from bot.text import human_size

LOCAL_CURE = (
    "Set TELEGRAM_LOCAL_FILES_DIR to the folder where that server keeps its files, "
    "or start it without --local."
)


class Files:
    """Downloads of files that people send; `aclose` closes their connections."""

    def __init__(self, client: Client, settings: TelegramSettings) -> None:
        self._client = client
        self._settings = settings
        self._http = httpx.AsyncClient(timeout=READ_S)

    async def download(self, file_id: str, max_bytes: int) -> bytes:
        """The content of a file of at most `max_bytes`.

        Raises:
            FileTooLarge: it is larger; no more than `max_bytes` of it were fetched.
            PlatformError: it cannot be fetched.
        """
        with telegram_errors():
            try:
                path, size = await self._client.fetch_file_path(file_id)
            except InvalidToken:  # the SDK's error for a 404: the file is gone, or not the bot's
                raise PlatformError("the file cannot be fetched any more") from None
        if size > max_bytes:
            raise _too_large(max_bytes)
        if path.startswith("/") or _is_windows_path(path):
            return await asyncio.to_thread(self._read_local, path, max_bytes)
        if not _is_plain(path):
            raise PlatformError(f"getFile names a path that is none: {path[:80]!r}")
        return await self._fetch(path, max_bytes)

    async def aclose(self) -> None:
        await self._http.aclose()

    def _read_local(self, path: str, max_bytes: int) -> bytes:
        """The content of a file below the folder that the operator named, links followed."""
        folder = self._settings.telegram_local_files_dir
        if folder is None:
            raise PlatformRefused(
                "the Bot API server keeps its files on its own disk", cure=LOCAL_CURE
            )
        try:
            real = Path(path).resolve(strict=True)
            if not real.is_relative_to(folder.resolve()) or not real.is_file():
                raise PlatformRefused(f"{path[:80]!r} is not in TELEGRAM_LOCAL_FILES_DIR")
            with real.open("rb") as file:
                data = file.read(max_bytes + 1)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise PlatformError(f"a local file cannot be read: {type(error).__name__}") from None
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
        return data

    async def _fetch(self, path: str, max_bytes: int) -> bytes:
        settings = self._settings
        url = f"{settings.telegram_api_url}/file/bot{settings.token}/{quote(path)}"
        received = bytearray()
        try:
            async with self._http.stream("GET", url) as response:
                if response.status_code != 200:
                    raise PlatformError(f"a file download answered {response.status_code}")
                async for piece in response.aiter_bytes(1 << 16):
                    received += piece
                    if len(received) > max_bytes:
                        raise _too_large(max_bytes)
        except httpx.HTTPError as error:  # its text may hold the address, and so the token
            kind = type(error).__name__
            raise PlatformUnreachable(f"a file could not be fetched: {kind}") from None
        return bytes(received)


def _too_large(max_bytes: int) -> FileTooLarge:
    return FileTooLarge(f"larger than {human_size(max_bytes)}")


def _is_windows_path(path: str) -> bool:
    return path[1:3] in (":\\", ":/") or path.startswith("\\")


def _is_plain(path: str) -> bool:
    """Whether it is a relative path that leads nowhere else."""
    is_printable = path.isprintable() and "\\" not in path
    return is_printable and not any(part in ("", ".", "..") for part in path.split("/"))

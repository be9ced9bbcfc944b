"""Downloads: a file comes from the Bot API server, within the limit, and from no other place of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.telegram.api.client import make_client
from adapters.telegram.api.files import Files
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.settings import TelegramSettings
from bot.errors import (
    FileTooLarge,
    PlatformError,
    PlatformRefused,
    PlatformUnreachable,
    SettingsError,
)
from tests.corpus.items import items_of
from tests.fakes.telegram.server import TelegramServer

SECRET = b"the operator's own file"


@asynccontextmanager
async def open_files(telegram: TelegramServer, **changes: object) -> AsyncIterator[Files]:
    settings = TelegramSettings.load(
        telegram_bot_token=telegram.token, telegram_api_url=telegram.url, **changes
    )
    client, request = make_client(settings, RateLimiter())
    files = Files(client, settings)
    try:
        yield files
    finally:
        await files.aclose()
        await request.shutdown()


@pytest.fixture
async def files(telegram: TelegramServer) -> AsyncIterator[Files]:
    async with open_files(telegram) as opened:
        yield opened


async def test_a_file_is_downloaded_or_its_error_told(
    telegram: TelegramServer, files: Files
) -> None:
    id_ = telegram.upload("a file.txt", b"content")
    assert await files.download(id_, 7) == b"content"
    with pytest.raises(FileTooLarge, match="larger than 6 bytes"):
        await files.download(id_, 6)
    telegram.file_limit = 3
    with pytest.raises(PlatformError, match="too big"):
        await files.download(id_, 100)
    with pytest.raises(PlatformError):
        await files.download("gone", 100)


async def test_a_lost_connection_is_told_without_the_token(
    telegram: TelegramServer, files: Files
) -> None:
    telegram.local_files["f"] = "documents/f"
    telegram.cut_files = True
    with pytest.raises(PlatformUnreachable) as raised:
        await files.download("f", 100)
    assert telegram.token not in repr(raised.value)
    assert raised.value.__cause__ is None


async def test_no_more_than_the_limit_is_fetched_of_a_file_of_unstated_size(
    telegram: TelegramServer, files: Files
) -> None:
    """M4: a file whose size nobody stated is cut off at the limit, not fetched whole and then refused."""
    telegram.local_files["f"] = "documents/endless"
    with pytest.raises(FileTooLarge):
        await files.download("f", 1_000_000)
    assert telegram.file_bytes_sent < 20_000_000


LOCAL_PATHS = [item["file_path"] for item in items_of("file_path")]


@pytest.mark.parametrize("path", LOCAL_PATHS)
async def test_a_path_on_this_machines_disk_is_not_read(
    telegram: TelegramServer,
    files: Files,
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """M4: absolute, relative, with `../`: whatever the server names, nothing comes from the disk."""
    monkeypatch.chdir(tmp_path)
    for name in ("secret.txt", "documents/secret.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(SECRET)
    telegram.local_files["f"] = path.replace("{folder}", str(tmp_path))
    try:
        got = await files.download("f", 10_000_000)
    except PlatformError:
        got = b""
    assert SECRET not in got
    assert b"root:" not in got


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a local server, beside a file that is not its own."""
    (tmp_path / "secret.txt").write_bytes(SECRET)
    folder = tmp_path / "server"
    (folder / "documents").mkdir(parents=True)
    (folder / "documents" / "f.txt").write_bytes(b"from the disk")
    return folder


async def test_a_local_servers_file_is_read_from_the_folder_that_was_named(
    telegram: TelegramServer, folder: Path
) -> None:
    """M4: local paths only when switched on."""
    telegram.local_files["f"] = str(folder / "documents" / "f.txt")
    async with open_files(telegram, telegram_local_files_dir=folder) as files:
        assert await files.download("f", 13) == b"from the disk"
        with pytest.raises(FileTooLarge):
            await files.download("f", 12)
    async with open_files(telegram) as files:
        with pytest.raises(PlatformRefused) as refused:
            await files.download("f", 13)
    assert "TELEGRAM_LOCAL_FILES_DIR" in refused.value.cure
    assert not any(name == "file" for name, _ in telegram.calls)


OUTSIDE: dict[str, Callable[[Path], str]] = {
    "beside it": lambda folder: str(folder.parent / "secret.txt"),
    "by way of ..": lambda folder: f"{folder}/documents/../../secret.txt",
    "the folder itself": str,
    "by a link": lambda folder: str(folder / "link"),
    "a folder with its name as beginning": lambda folder: f"{folder}-other/f.txt",
    "no file": lambda folder: str(folder / "nothing"),
    "a device": lambda _: "/dev/zero",
    "a zero byte": lambda folder: f"{folder}/documents/f.txt\0",
}


@pytest.mark.parametrize("name", OUTSIDE)
async def test_nothing_outside_the_folder_is_read(
    telegram: TelegramServer, folder: Path, name: str
) -> None:
    """M4: beneath one named folder, whatever `..` and links lead to."""
    (folder / "link").symlink_to(folder.parent / "secret.txt")
    other = folder.with_name("server-other")
    other.mkdir()
    (other / "f.txt").write_bytes(SECRET)
    telegram.local_files["f"] = OUTSIDE[name](folder)
    async with open_files(telegram, telegram_local_files_dir=folder) as files:
        with pytest.raises(PlatformError):
            await files.download("f", 1000)


@pytest.mark.parametrize(
    "url", ["https://api.telegram.org", "https://api.telegram.org:443", "https://API.telegram.org/"]
)
def test_telegrams_own_servers_have_no_folder_here(url: str, tmp_path: Path) -> None:
    """M4: never for the cloud."""
    with pytest.raises(SettingsError, match="TELEGRAM_LOCAL_FILES_DIR needs TELEGRAM_API_URL"):
        TelegramSettings.load(telegram_api_url=url, telegram_local_files_dir=tmp_path)

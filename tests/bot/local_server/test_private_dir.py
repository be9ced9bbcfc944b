"""Folders and logs that only their owner may read, and the errors of the file system there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bot.errors import StoreFull, StoreRefused
from bot.local_server import private_dir
from bot.local_server.os_errors import translate_os_errors
from bot.local_server.private_dir import last_lines, make_private, rotate_log


def test_a_folder_is_taken_from_all_others(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    folder.chmod(0o755)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_or_behind_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StoreRefused, match="belongs to somebody else"):
        make_private(tmp_path / "link")
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(StoreRefused) as caught:
        make_private(tmp_path)
    assert "BOT_DATA_DIR" in caught.value.cure


def test_a_log_is_rotated_when_it_is_too_long_and_its_end_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "server.log"
    rotate_log(path)
    assert last_lines(path) == ""
    path.write_text("1\n2\n3\n4\n")
    rotate_log(path)
    assert last_lines(path) == "2 / 3 / 4"
    monkeypatch.setattr(private_dir, "MAX_LOG_BYTES", 4)
    rotate_log(path)
    assert not path.exists()
    assert (tmp_path / "server.log.1").read_text().startswith("1")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EROFS, StoreRefused)],
)
def test_an_error_of_the_file_system_is_a_full_disk_or_a_refusal(
    number: int, kind: type[Exception]
) -> None:
    with (
        pytest.raises(kind, match=r"full|refused") as caught,
        translate_os_errors(
            disk_full=lambda: StoreFull("full", cure="Free space."),
            refused=lambda error: StoreRefused(f"refused: {error.strerror}", cure="Move."),
        ),
    ):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value.__cause__, OSError)


def test_other_exceptions_are_not_translated() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        translate_os_errors(disk_full=lambda: StoreFull("x"), refused=lambda _: StoreRefused("x")),
    ):
        _ = 1 / 0

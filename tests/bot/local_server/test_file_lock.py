"""File locks: shared or exclusive, independent of one another, and held by a child that inherits them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bot.local_server.file_lock import FileLock
from tests.support.wait import wait_until


@contextmanager
def two_locks(folder: Path) -> Iterator[tuple[FileLock, FileLock]]:
    with closing(FileLock(folder / "lock")) as first, closing(FileLock(folder / "lock")) as second:
        yield first, second


async def test_a_shared_lock_is_shared_and_an_exclusive_one_is_not(tmp_path: Path) -> None:
    with two_locks(tmp_path) as (first, second):
        assert first.try_shared()
        assert second.try_shared()
        assert not second.try_exclusive()
        first.unlock()
        assert second.try_exclusive()
        assert not first.try_shared()
        assert not await first.exclusive(0)
        second.close()
        assert await first.exclusive(0)


async def test_a_lock_is_held_by_the_child_that_inherits_its_descriptor(tmp_path: Path) -> None:
    with two_locks(tmp_path) as (first, second):
        assert first.try_exclusive()
        child = subprocess.Popen(  # noqa: ASYNC220  returns at once
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(first.fd,)
        )
        first.close()
        assert not second.try_shared()
        child.communicate(b"\n")
        await wait_until(second.try_exclusive)


def test_a_lock_file_is_for_its_owner_only_and_closing_twice_is_harmless(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    lock.close()
    lock.close()

"""Translation of file-system errors, for folders that hold data."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.errors import KeepthreadError


@contextmanager
def translate_os_errors(
    *, disk_full: Callable[[], KeepthreadError], refused: Callable[[OSError], KeepthreadError]
) -> Iterator[None]:
    """Raise `disk_full()` for a full disk or quota within, `refused(error)` for any other OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full() from error
        raise refused(error) from error

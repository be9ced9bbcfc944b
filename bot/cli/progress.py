"""Progress for people: a bar on a terminal, a line now and then elsewhere; both on standard error."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text


class _SizeColumn(DownloadColumn):
    """Bytes, where there are any to speak of."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total and task.total > 1 else Text()


class Progress:
    """Callable as `bot.wiring.Progress`: what is being done, how much of it, of how much.

    In bytes. `0, 0` begins what nobody knows the size of, and `1, 1` ends it; `1, 1` alone is a remark.
    """

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        self._bar: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, int] = {}

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self._console.is_terminal:
            self._line(what, done, total)
            return
        if done == total == 1 and what not in self._tasks:
            self._console.print(what, style="dim", markup=False, highlight=False)
            return
        if self._bar is None:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                _SizeColumn(),
                TimeRemainingColumn(),
            )
            self._bar = RichProgress(*columns, console=self._console, transient=True)
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total or None)
        self._bar.update(self._tasks[what], completed=done, total=total or None)
        if all(task.finished for task in self._bar.tasks):
            self._close()

    def _line(self, what: str, done: int, total: int) -> None:
        percent = 100 * done // total // 20 * 20 if total > 1 else 0
        if self._said.get(what) != percent:
            self._said[what] = percent
            size = f" {percent} % of {total / 1e6:,.0f} MB" if total > 1 else ""
            print(f"{what}{size}", file=sys.stderr, flush=True)  # noqa: T201  a command's own output

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._tasks = None, {}

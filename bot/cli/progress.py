"""Progress of long downloads, on standard error: a bar on a terminal, else a line each 20 %."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _SizeColumn(DownloadColumn):
    """Bytes done and in all, where the task is counted in bytes."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total and task.total > 1 else Text()


class ProgressDisplay:
    """Display of tasks in progress; a `ProgressCallback` (bot/model/local/weights/spec.py)."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._printed_percent: dict[str, int] = {}

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, task: str, done: int, total: int) -> None:
        if not self._console.is_terminal:
            self._print_line(task, done, total)
            return
        if done == total == 1 and task not in self._tasks:
            self._console.print(task, style="dim", markup=False, highlight=False)
            return
        if self._bar is None:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                _SizeColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
        if task not in self._tasks:
            self._tasks[task] = self._bar.add_task(task, total=total or None)
        self._bar.update(self._tasks[task], completed=done, total=total or None)
        if all(shown.finished for shown in self._bar.tasks):
            self._close()

    def _print_line(self, task: str, done: int, total: int) -> None:
        percent = 100 * done // total // 20 * 20 if total > 1 else 0
        if self._printed_percent.get(task) != percent:
            self._printed_percent[task] = percent
            size = f" {percent} % of {total / 1e6:,.0f} MB" if total > 1 else ""
            print(f"{task}{size}", file=sys.stderr, flush=True)  # noqa: T201  a command's own output

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._tasks = None, {}

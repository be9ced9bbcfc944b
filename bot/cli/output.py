"""Tables on standard output. Text of strangers is printed without control characters."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from bot.text import strip_controls

if TYPE_CHECKING:
    from rich.text import Text

_PIPED_WIDTH = 10_000
"""Columns of a table that is piped: `grep` finds only what is on one line."""


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under their titles."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:  # as Text: rich would take words in brackets for styles
        table.add_row(
            *(Text(strip_controls(cell)) if isinstance(cell, str) else cell for cell in row)
        )
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())

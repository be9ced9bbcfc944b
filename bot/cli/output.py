"""What commands print for people. What others wrote is shown as it is, and steers no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.text import plain

_UNFOLDED = 10_000
"""Columns. For what is no terminal: `grep` finds only what is on one line."""


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under their titles."""
    console = Console(width=None if sys.stdout.isatty() else _UNFOLDED)
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:  # as Text: rich would take words in brackets for styles
        table.add_row(*(Text(plain(one)) if isinstance(one, str) else one for one in row))
    with console.capture() as made:
        console.print(table)
    for line in made.get().splitlines():
        click.echo(line.rstrip())

"""What commands print for people. What others wrote is shown as it is, and steers no terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""All but tab and line feed, and the overrides of the direction of writing (UAX #9)."""
_UNFOLDED = 10_000
"""Columns. For what is no terminal: `grep` finds only what is on one line."""


def plain(text: str) -> str:
    """`text` without what moves a cursor, recolours or reorders."""
    return _CONTROLS.sub("", text)


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

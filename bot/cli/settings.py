"""`keepthread settings`: the table of all settings."""

from __future__ import annotations

from pathlib import Path

import click

from bot.cli.main import main


@click.command("settings")
@click.option(
    "--write",
    "readme",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Refresh this file's generated tables (of settings and commands) instead.",
)
def show_settings(readme: Path | None) -> None:
    """Print every setting as a Markdown table."""
    from bot.cli.readme import parts, refreshed

    made = parts(main)
    if readme is None:
        click.echo(made["settings"])
    else:
        text = readme.read_text(encoding="utf-8")
        readme.write_text(refreshed(text, made), encoding="utf-8")

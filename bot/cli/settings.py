"""`keepthread settings`: the table of all settings, and README's generated tables."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("settings")
@click.option(
    "--write",
    "readme",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Refresh this file's generated tables (of settings and commands) instead.",
)
@click.pass_context
def show_settings(context: click.Context, readme: Path | None) -> None:
    """Print every setting as a Markdown table."""
    from bot.cli.readme import generated_tables, replace_tables

    main = context.find_root().command
    assert isinstance(main, click.Group)  # noqa: S101  this command is a sub-command
    tables = generated_tables(main)
    if readme is None:
        click.echo(tables["settings"])
    else:
        text = readme.read_text(encoding="utf-8")
        readme.write_text(replace_tables(text, tables), encoding="utf-8")

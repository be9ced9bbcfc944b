"""`keepthread slack`: what helps to set the app up in Slack."""

from __future__ import annotations

import json

import click


@click.group()
def slack() -> None:
    """Set the app up in Slack."""


@slack.command()
@click.option("--name", default="Keepthread", show_default=True, help="The bot's name in Slack.")
@click.option(
    "--url",
    "base_url",
    default="",
    metavar="https://bot.example.com",
    help="Public address, for events over HTTP. Without it the manifest is for Socket Mode.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
def manifest(name: str, base_url: str, as_json: bool) -> None:
    """Print the app manifest, to be pasted at api.slack.com/apps → Create New App → From a manifest."""
    from adapters.slack.manifest import as_yaml
    from adapters.slack.manifest import manifest as build

    data = build(name, base_url)
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n" if as_json else as_yaml(data)
    click.echo(text, nl=False)

"""`keepthread model`: fetch, look at and remove the local model."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bot.cli.output import print_table
from bot.cli.progress import Progress
from bot.errors import LocalModelError
from bot.model.local.weights import store
from bot.model.local.weights.spec import DEFAULT
from bot.plugins import load_settings
from bot.settings import Settings

as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group("model")
def model_group() -> None:
    """The model that runs on this machine when no other is set."""


@model_group.command()
@as_json
def fetch(as_json: bool) -> None:
    """Fetch the default model now, rather than with the first message. Goes on where it stopped."""

    async def work() -> int:
        settings = load_settings()
        with Progress() as progress:
            path = await store.fetch(settings, progress)
        size_bytes = path.stat().st_size
        if as_json:
            click.echo(json.dumps({"file": str(path), "size_bytes": size_bytes}))
        else:
            click.echo(f"{path}  ({size_bytes / 1e6:,.0f} MB, checked)")
        return 0

    from bot.cli.runner import run

    sys.exit(run(work()))


@model_group.command("list")
@as_json
def list_(as_json: bool) -> None:
    """The files there are, and which one answers."""
    rows = known(load_settings())
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print_table(
        ("file", "MB", "state", "in use"),
        [(r.file, f"{r.size_bytes / 1e6:,.0f}", r.state, "yes" * r.in_use) for r in rows],
    )


@model_group.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
def remove(yes: bool, as_json: bool) -> None:
    """Delete the default model and what is left of fetches. A file of your own stays."""
    settings = load_settings()
    path = store.path_of(settings)
    if not yes and (path.exists() or store.partial_bytes(settings)):
        click.confirm(f"Delete {path}?", abort=True)
    freed = store.remove(settings)
    if as_json:
        click.echo(json.dumps({"file": str(path), "freed_bytes": freed}))
    else:
        click.echo(f"{freed / 1e6:,.0f} MB freed" if freed else "There was nothing to remove.")


@dataclass(frozen=True, slots=True)
class Known:
    """A model file. `state`: ready, damaged, partly fetched, not fetched, or what is wrong with it."""

    file: str
    size_bytes: int
    state: str
    in_use: bool


def known(settings: Settings) -> list[Known]:
    """The default model, and BOT_LOCAL_MODEL if it is set. Blocks if a changed file must be checked."""
    own, path = settings.bot_local_model, store.path_of(settings)
    partial = store.partial_bytes(settings)
    size_bytes = path.stat().st_size if path.exists() else partial or DEFAULT.size_bytes
    if store.installed(settings):
        state = "ready"
    elif path.exists():
        state = "damaged"
    else:
        state = "partly fetched" if partial else "not fetched"
    found = [Known(str(path), size_bytes, state, settings.uses_local_model and own is None)]
    if own is not None:
        found.append(_own(settings, own))
    return found


def _own(settings: Settings, path: Path) -> Known:
    try:
        store.check_gguf(path)
    except LocalModelError as error:
        return Known(str(path), 0, str(error), settings.uses_local_model)
    return Known(str(path), path.stat().st_size, "ready", settings.uses_local_model)

"""`keepthread model`: fetch, list and remove the local model."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from bot.cli.output import print_table

if TYPE_CHECKING:
    from pathlib import Path

    from bot.settings import Settings

as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group("model")
def model_group() -> None:
    """The model that runs on this machine when no other is set."""


@model_group.command()
@as_json
def fetch(as_json: bool) -> None:
    """Fetch the default model now, rather than with the first message. Goes on where it stopped."""
    from bot.cli.runner import run

    sys.exit(run(_fetch(as_json)))


async def _fetch(as_json: bool) -> int:
    from bot.cli.progress import ProgressDisplay
    from bot.model.local.weights import store
    from bot.plugins import load_settings

    settings = load_settings()
    with ProgressDisplay() as progress:
        path = await store.fetch(settings, progress)
    size_bytes = path.stat().st_size
    if as_json:
        click.echo(json.dumps({"file": str(path), "size_bytes": size_bytes}))
    else:
        click.echo(f"{path}  ({size_bytes / 1e6:,.0f} MB, checked)")
    return 0


@model_group.command("list")
@as_json
def list_(as_json: bool) -> None:
    """The files there are, and which one answers."""
    from bot.plugins import load_settings

    files = list_model_files(load_settings())
    if as_json:
        click.echo(json.dumps([asdict(file) for file in files], indent=2))
        return
    print_table(
        ("file", "MB", "state", "in use"),
        [
            (file.file, f"{file.size_bytes / 1e6:,.0f}", file.state, "yes" if file.in_use else "")
            for file in files
        ],
    )


@model_group.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
def remove(yes: bool, as_json: bool) -> None:
    """Delete the default model and what is left of fetches. A file of your own stays."""
    from bot.model.local.weights import store
    from bot.plugins import load_settings

    settings = load_settings()
    path = store.weights_path(settings)
    if not yes and (path.exists() or store.partial_bytes(settings)):
        click.confirm(f"Delete {path}?", abort=True)
    freed = store.remove(settings)
    if as_json:
        click.echo(json.dumps({"file": str(path), "freed_bytes": freed}))
    else:
        click.echo(f"{freed / 1e6:,.0f} MB freed" if freed else "There was nothing to remove.")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Model file and its state: ready, damaged, partly fetched, not fetched, or why it cannot be used."""

    file: str
    size_bytes: int
    state: str
    in_use: bool


def list_model_files(settings: Settings) -> list[ModelFile]:
    """The default model, and BOT_LOCAL_MODEL if it is set. Blocks while a changed file is hashed."""
    from bot.model.local.weights import store
    from bot.model.local.weights.spec import DEFAULT

    custom, path = settings.bot_local_model, store.weights_path(settings)
    partial = store.partial_bytes(settings)
    size_bytes = path.stat().st_size if path.exists() else partial or DEFAULT.size_bytes
    if store.is_installed(settings):
        state = "ready"
    elif path.exists():
        state = "damaged"
    else:
        state = "partly fetched" if partial else "not fetched"
    in_use = settings.uses_local_model and custom is None
    files = [ModelFile(str(path), size_bytes, state, in_use)]
    if custom is not None:
        files.append(_custom_model_file(settings, custom))
    return files


def _custom_model_file(settings: Settings, path: Path) -> ModelFile:
    from bot.errors import LocalModelError
    from bot.model.local.weights import store

    try:
        store.check_gguf(path)
    except LocalModelError as error:
        return ModelFile(str(path), 0, str(error), settings.uses_local_model)
    return ModelFile(str(path), path.stat().st_size, "ready", settings.uses_local_model)

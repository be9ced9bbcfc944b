"""`keepthread chat`: a conversation in this terminal, through the local adapter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bot.settings import Settings


@click.command()
@click.option("--session", "-s", default="default", show_default=True, help="Which conversation.")
def chat(session: str) -> None:
    """Talk in the terminal. Conversations persist; each name is its own.

    Lines from a pipe are answered one by one:  printf 'hello\\n' | keepthread chat
    """
    from bot.cli.runner import run

    sys.exit(run(_chat(session)))


async def _chat(session: str) -> int:
    from bot.cli.progress import ProgressDisplay
    from bot.model.local.lazy import LazyModel
    from bot.plugins import load_settings, local_adapter
    from bot.service.direct_core import DirectCore
    from bot.wiring import open_components

    settings = load_settings()
    with ProgressDisplay() as progress:
        async with open_components(settings, progress=progress) as components:
            if isinstance(components.model, LazyModel) and sys.stdout.isatty():
                await components.model.start()  # its progress bar ends before the first prompt
            core = DirectCore(components)
            try:
                return await local_adapter().chat(
                    core,
                    session_name=session,
                    banner=_banner(components.settings, components.store.description),
                )
            finally:
                await core.aclose()


def _banner(settings: Settings, store: str) -> str:
    model = "a small model on this machine" if settings.uses_local_model else settings.bot_model
    memory = store.replace(str(Path.home()), "~")
    return f"Keepthread with {model}. Memory: {memory}.\n/help lists the commands, Ctrl-D leaves."

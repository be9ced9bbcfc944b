"""`keepthread serve`: the service until a signal ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bot.service.service import Role


@click.command()
@click.option(
    "--role",
    type=click.Choice(["all", "ingress", "worker"]),
    default="all",
    show_default=True,
    help="Take messages in, work on them, or both.",
)
def serve(role: Role) -> None:
    """Serve every configured platform until SIGTERM or Ctrl-C.

    The first signal drains: running answers may finish (BOT_DRAIN_S), the rest is handed over. A second
    one ends at once, with nothing lost. Several such processes beside each other share the work. The exit
    status is 1 if a part broke that only a new process mends.
    """
    from bot.cli.runner import run

    sys.exit(run(_serve(role)))


async def _serve(role: Role) -> int:
    from bot.background import cancel_all
    from bot.logs import configure_logging
    from bot.plugins import load_settings
    from bot.service.http import raise_descriptor_limit
    from bot.service.service import open_service

    settings = load_settings()
    configure_logging(settings.bot_log_level, settings.bot_log_format)
    raise_descriptor_limit()
    signalled = asyncio.Event()
    starting = asyncio.current_task()

    def end() -> None:
        if signalled.is_set():
            os._exit(1)  # its leases expire, and other workers take its turns
        signalled.set()
        if starting is not None:
            starting.cancel()  # no turn runs yet

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        async with open_service(settings, role=role) as service:
            starting = None
            platforms = ", ".join(sorted(service.connections))
            click.echo(f"Serving {platforms}; probes on port {service.port}.", err=True)
            waits = [asyncio.create_task(event.wait()) for event in (signalled, service.broken)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await cancel_all(waits)
    except asyncio.CancelledError:
        if not signalled.is_set():
            raise
        return 0
    return int(service.broken.is_set())

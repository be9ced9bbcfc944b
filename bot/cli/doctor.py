"""`keepthread doctor`: one check for each part, and the cure of each failure."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from bot.cli.output import print_table

if TYPE_CHECKING:
    from bot.ports import Adapter, Check
    from bot.settings import Settings

COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "off": ""}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> None:
    """Check settings, Redis, the model, LangSmith and the platforms. Exit status 1 if one failed."""
    from bot.cli.runner import run

    sys.exit(run(_print_checks(as_json)))


async def run_checks() -> list[Check]:
    """All checks. A broken setting is a check that failed, not an error."""
    from bot import tracing
    from bot.errors import SettingsError
    from bot.memory.doctor import check as check_summaries
    from bot.model.local.doctor import check as check_local_model
    from bot.plugins import adapters, load_settings
    from bot.ports import Check
    from bot.storage import doctor

    try:
        settings = load_settings()
    except SettingsError as error:
        return [Check("settings", "failed", str(error), error.cure)]
    tracing.switch_off_automatic_tracing()  # else the question to the model would be traced
    checks = [Check("settings", "ok")]
    checks += await doctor.check(settings)
    checks += await check_summaries(settings)
    checks += await (check_local_model if settings.uses_local_model else _check_model)(settings)
    checks += await tracing.check(settings)
    for adapter in adapters().values():
        checks += await _check_adapter(adapter, settings)
    return checks


async def _check_model(settings: Settings) -> list[Check]:
    """Checks of the endpoints; what they take is kept in Redis, if it is there."""
    from bot.errors import KeepthreadError
    from bot.model.doctor import check
    from bot.storage.client import connect
    from bot.storage.key_value import RedisKeyValueStore

    try:
        link = await connect(settings)
    except KeepthreadError:  # the check of Redis says so
        return await check(settings)
    try:
        return await check(settings, RedisKeyValueStore(link.client, settings.bot_redis_prefix))
    finally:
        await link.aclose()


async def _check_adapter(adapter: Adapter[Any], core_settings: Settings) -> list[Check]:
    from bot.errors import SettingsError
    from bot.ports import Check

    try:
        settings = adapter.settings_class.load()
    except SettingsError as error:
        return [Check(adapter.name, "failed", str(error), error.cure)]
    return await adapter.check(core_settings, settings)


async def _print_checks(as_json: bool) -> int:
    from rich.text import Text

    checks = await run_checks()
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print_table(
            ("what", "state", "detail", "cure"),
            [(c.name, Text(c.state, COLOURS[c.state]), c.detail, c.cure) for c in checks],
        )
    return int(any(check.state == "failed" for check in checks))

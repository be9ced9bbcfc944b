"""Chat commands that installed packages add by entry point."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bot.commands import BUILTIN, Command, load_commands
from bot.errors import SettingsError
from tests.fakes.model_server import ModelServer
from tests.support.chat_process import Program
from tests.support.repository import ROOT

DICE = """
from bot.commands import Call, Command

async def run(call: Call) -> None:
    await call.post(f"A four, {call.arguments}.")

COMMAND = Command("dice", "Throw a die.", aliases=("roll",), admin_in_shared=True, run=run)
"""


def install(folder: Path, source: str, target: str = "kt_dice:COMMAND") -> None:
    """As pip would: a module, and beside it the metadata of its distribution."""
    (folder / "kt_dice.py").write_text(source)
    metadata = folder / "kt_dice-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kt-dice\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[keepthread.chat_commands]\ndice = {target}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are installed to."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "kt_dice", raising=False)
    return folder


def test_the_registry_without_packages_holds_the_builtin_commands() -> None:
    assert load_commands().commands == BUILTIN


def test_a_packages_command_is_found_by_each_of_its_names(site: Path) -> None:
    install(site, DICE)
    registry = load_commands()
    command = registry.find("ROLL twice")
    assert isinstance(command, Command)
    assert command == registry.commands[-1]
    assert {"dice", "roll"} <= set(registry.admin_actions)


async def test_a_packages_command_is_listed_and_run_in_a_chat(
    site: Path, tmp_path: Path, model: ModelServer
) -> None:
    install(site, DICE)
    program = Program.with_model(tmp_path, model)
    program.settings["PYTHONPATH"] = os.pathsep.join((str(site), str(ROOT)))
    status, out, err = await asyncio.to_thread(
        program.run, "chat", stdin="/help\n/roll as always\n/dise\n"
    )
    assert (status, err) == (0, "")
    assert "Throw a die." in out
    assert "A four, as always." in out
    assert "Did you mean “dice”?" in out
    assert model.requests == []


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (DICE, "kt_dice:run", "is no bot.commands.Command"),
        (DICE, "kt_dice:NOTHING", "NOTHING"),
        (DICE, "kt_missing:COMMAND", "kt_missing"),
        (DICE.replace('"dice"', '"dice/6"'), "kt_dice:COMMAND", "dice/6"),
        (DICE.replace('"dice"', '"reset"'), "kt_dice:COMMAND", "two chat commands are called 'reset'"),
    ],
    ids=["not a command", "no such name", "no such module", "impossible name", "taken name"],
)  # fmt: skip
def test_a_package_whose_command_cannot_be_used_is_named(
    site: Path, source: str, target: str, why: str
) -> None:
    install(site, source, target)
    with pytest.raises(SettingsError) as caught:
        load_commands()
    assert why in str(caught.value)
    assert "ninstall" in caught.value.cure

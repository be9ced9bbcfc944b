"""`keepthread sessions`: tables for people, JSON for programs, errors without traceback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.conversation import SessionKey, Turn
from bot.ports import TurnWrite
from bot.prompt.transcript import tokens_of
from bot.settings import Settings
from bot.wiring import Store, open_store
from tests.fakes.terminal import Terminal
from tests.support.chat_process import Program
from tests.support.cli_harness import Shell
from tests.support.messages import make_message

WORK = SessionKey("console", "local", "work")
CHAT = SessionKey("telegram", "7", "-100 1", "5")


@pytest.fixture
def store(settings: Settings) -> Callable[[Callable[[Store], Awaitable[Any]]], Any]:
    """Function that runs work on the store of the test's Redis."""

    def do(work: Callable[[Store], Awaitable[Any]]) -> Any:
        async def opened() -> Any:
            async with open_store(settings) as opened_store:
                return await work(opened_store)

        return asyncio.run(opened())

    return do


async def append_turns(
    store: Store, session: SessionKey, *texts: str, state: Any = "complete"
) -> None:
    for text in texts:
        past = await store.history.read(session)
        turn = Turn(f"t-{text}", (make_message(text, session),), generation=past.generation)
        done = turn.ended(state, f"answer to {text}")
        await store.history.append(TurnWrite(done, tokens=tokens_of(done)))


def test_an_empty_list_says_so(shell: Shell) -> None:
    assert shell.out("sessions", "list") == "No conversations yet.\n"
    assert json.loads(shell.out("sessions", "list", "--json")) == []


def test_conversations_are_listed_by_their_keys(shell: Shell, store: Any) -> None:
    store(lambda s: append_turns(s, WORK, "one", "two"))
    store(lambda s: append_turns(s, CHAT, "three"))
    title, *rows = shell.out("sessions", "list").splitlines()
    assert title.split() == ["session", "turns", "begun", "last", "used", "(UTC)"]
    found = {row.split()[0]: row.split()[1] for row in rows}
    assert found == {str(WORK): "2", str(CHAT): "1"}
    plain = json.loads(shell.out("sessions", "list", "--json"))
    assert {SessionKey.parse(row["session"]): row["turns"] for row in plain} == {WORK: 2, CHAT: 1}


def test_show_prints_the_newest_turns_unchanged(shell: Shell, store: Any) -> None:
    store(lambda s: append_turns(s, WORK, "one", "two", "[bold]three[/b] \x1b]0;gotcha\x07"))
    store(lambda s: append_turns(s, WORK, "four", state="failed"))
    text = shell.out("sessions", "show", "work", "--last", "2")
    assert text.startswith(f"{WORK}  (4 turns)\n")
    assert "Ada: [bold]three[/b] ]0;gotcha\n" in text
    assert "bot (failed): answer to four" in text
    assert "two" not in text
    shown = json.loads(shell.out("sessions", "show", str(WORK), "--last", "1", "--json"))["shown"]
    assert [turn["incoming"][0]["text"] for turn in shown] == ["four"]
    assert shell.run("sessions", "show", "work", "--last", "0").exit_code == 2


def test_an_export_goes_to_a_file_or_to_the_screen(
    shell: Shell, store: Any, tmp_path: Path
) -> None:
    async def begin_anew(s: Store) -> None:
        await append_turns(s, CHAT, "old")
        await s.history.reset(CHAT, keep=True)
        await append_turns(s, CHAT, "new")

    store(begin_anew)
    path = tmp_path / "export.json"
    assert shell.out("sessions", "export", str(CHAT), "-o", str(path)) == ""
    assert path.stat().st_mode & 0o077 == 0
    data = json.loads(path.read_text())
    assert [turn["answer"] for turn in data["turns"]] == ["answer to new"]
    assert [len(turns) for turns in data["earlier"].values()] == [1]
    assert json.loads(shell.out("sessions", "export", str(CHAT))) == data
    assert json.loads(shell.out("sessions", "export", str(CHAT), "--json")) == data


def test_reset_begins_a_generation_and_may_keep_the_old_one(shell: Shell, store: Any) -> None:
    store(lambda s: append_turns(s, WORK, "one"))
    assert shell.out("sessions", "reset", "work", "--keep") == f"{WORK}: reset, 1 turn\n"
    assert len(json.loads(shell.out("sessions", "export", "work"))["earlier"]) == 1
    store(lambda s: append_turns(s, WORK, "two"))
    answer = json.loads(shell.out("sessions", "reset", "work", "--json"))
    assert answer == {"session": str(WORK), "reset": True, "turns": 1}


def test_forget_asks_first_and_erases_earlier_generations_too(shell: Shell, store: Any) -> None:
    store(lambda s: append_turns(s, WORK, "one"))
    shell.out("sessions", "reset", "work", "--keep")
    store(lambda s: append_turns(s, WORK, "two"))
    refused = shell.run("sessions", "forget", "work", stdin="n\n")
    assert refused.exit_code == 1
    assert f"Erase 1 turn of {WORK}?" in refused.output
    assert shell.run("sessions", "forget", "work", stdin="y\n").exit_code == 0
    assert json.loads(shell.out("sessions", "list", "--json")) == []
    assert shell.run("sessions", "export", "work").exit_code == 1


def test_control_c_at_the_confirmation_erases_nothing(
    shell: Shell, store: Any, settings: Settings, tmp_path: Path
) -> None:
    assert settings.redis_url
    store(lambda s: append_turns(s, WORK, "one"))
    here = {"REDIS_URL": settings.redis_url.get_secret_value()}
    program = Program(tmp_path, here | {"BOT_REDIS_PREFIX": settings.bot_redis_prefix})
    with Terminal(program.command("sessions", "forget", "work"), program.environment) as terminal:
        terminal.wait_for("[y/N]")
        terminal.wait_until_idle()
        terminal.press("ctrl-c")
        assert terminal.wait_for_exit() == 1
        assert "Aborted!" in terminal.text
    assert len(json.loads(shell.out("sessions", "list", "--json"))) == 1


@pytest.mark.parametrize("command", ["show", "export", "reset", "forget"])
@pytest.mark.parametrize("name", ["wrok", "slack/T1/C1/"])
def test_a_conversation_that_does_not_exist_is_an_error_without_traceback(
    shell: Shell, command: str, name: str
) -> None:
    done = shell.run("sessions", command, name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"There is no conversation {name!r}" in done.stderr
    assert "sessions list" in done.stderr
    assert "Traceback" not in done.stderr

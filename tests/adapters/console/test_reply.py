"""Replies on a terminal and into a pipe, over real components."""

from __future__ import annotations

import asyncio
import io
import os
import re
from pathlib import Path

import pytest

from adapters.console.parse import SPEAKER, parse
from adapters.console.pipes import StandardStreams
from adapters.console.reply import PipedReply, save_file
from bot.conversation import Turn
from bot.errors import KeepthreadError, PlaceGone, PlatformRefused
from bot.service.direct_core import DirectCore
from tests.adapters.console.harness import SESSION, RecordingTerminal, rendered
from tests.fakes.model_server import ModelServer, fail, say, stall
from tests.support.wait import wait_until


async def test_a_long_answer_is_on_the_screen_once_and_whole(
    core: DirectCore, model: ModelServer
) -> None:
    code = "\n".join(f"line_{number} = {number}" for number in range(40))
    items = "\n".join(f"- item {number}" for number in range(30))
    answer = f"# Title\n\nFirst.\nSecond.\n\n```python\n{code}\n```\n\n{items}\n\nThe *end*."
    model.script = [say(answer, size=7, delay_s=0.002)]
    terminal = RecordingTerminal(core)
    assert await terminal.ask("hello") is False
    assert terminal.screen().rstrip() == rendered(answer).rstrip()  # line by line, blank ones too
    assert "thinking" in terminal.out.getvalue()


async def test_the_growing_part_never_outgrows_the_screen(
    core: DirectCore, model: ModelServer
) -> None:
    model.script = [say("\n".join(f"- item {number}" for number in range(60)), delay_s=0.002)]
    terminal = RecordingTerminal(core)
    await terminal.ask("hello")
    ups = [int(n) for n in re.findall(r"\x1b\[(\d+)A", terminal.out.getvalue())]
    # Each line is gone up by itself while it is redrawn.
    redrawn = re.findall(r"(?:\x1b\[1A\x1b\[2K)+", terminal.out.getvalue())
    assert max(ups) == 1
    assert max(run.count("A") for run in redrawn) < terminal.console.height


async def test_a_stopped_answer_keeps_what_was_shown(core: DirectCore, model: ModelServer) -> None:
    model.script = [stall("The first words")]
    terminal = RecordingTerminal(core)
    asked = asyncio.create_task(terminal.ask("hello"))
    await wait_until(lambda: "The first words" in terminal.out.getvalue())
    assert await core.stop(SESSION, SPEAKER)
    assert await asked is False
    assert terminal.screen().split() == ["The", "first", "words", "(stopped)"]
    past = await core.services.history.read(SESSION)
    assert [item.turn.answer for item in past.window] == ["The first words"]


async def test_an_error_is_shown_under_what_was_shown(core: DirectCore, model: ModelServer) -> None:
    model.script = [fail(401, "invalid_api_key", "Incorrect API key")]
    terminal = RecordingTerminal(core)
    assert await terminal.ask("hello") is True
    assert "does not let me in" in " ".join(terminal.screen().split())
    assert "OPENAI_API_KEY" in terminal.screen()


async def test_escape_sequences_of_an_answer_do_nothing(
    core: DirectCore, model: ModelServer
) -> None:
    model.script = [say("a\x1b[2Jb \x1b]0;title\x07c \x9b31md", size=3)]
    terminal = RecordingTerminal(core)
    await terminal.ask("hello")
    assert terminal.screen().rstrip() == "a[2Jb ]0;titlec 31md"
    assert "\x1b[2J" not in terminal.out.getvalue()


async def test_an_export_is_saved_in_the_current_folder(core: DirectCore, tmp_path: Path) -> None:
    terminal = RecordingTerminal(core)
    await terminal.ask("my name is Ada")
    assert await terminal.ask("/export") is False
    saved = tmp_path / re.findall(r"conversation-\w+.md", terminal.screen().replace("\n", ""))[0]
    assert "my name is Ada" in saved.read_text()


async def test_a_folder_that_cannot_be_written_to_is_named(
    core: DirectCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = RecordingTerminal(core)
    await terminal.ask("my name is Ada")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert await terminal.ask("/export") is True
    assert "No such file" in terminal.screen()


async def test_a_bug_in_a_command_is_reported_and_the_conversation_goes_on(
    core: DirectCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(core.services.sessions, "get", broken)
    terminal = RecordingTerminal(core)
    assert await terminal.ask("/status") is True
    assert KeepthreadError.sentence in terminal.screen()
    assert await terminal.ask("hello") is False


async def test_two_lines_are_answered_in_order_into_a_pipe(core: DirectCore) -> None:
    reading, writing = os.pipe()
    terminal = RecordingTerminal(core, StandardStreams(None, writing, None))
    assert await terminal.ask("my name is Ada") is False
    assert await terminal.ask("what is my name?") is False
    assert os.read(reading, 4_096) == b"You said: my name is Ada\nYour name is Ada.\n"
    os.close(writing)
    os.close(reading)


async def test_a_closed_pipe_stops_the_turn_and_its_answer_counts_as_undelivered() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    errors = io.StringIO()
    streams = StandardStreams(None, writing, errors)
    closed: list[bool] = []
    stopped: list[int] = []

    async def stop() -> None:
        stopped.append(1)

    reply = PipedReply(streams, closed.append, stop)
    await reply.show("words")
    assert streams.is_reader_gone
    assert stopped
    incoming = parse("hello", SESSION)
    assert incoming is not None
    with pytest.raises(PlaceGone):
        await reply.finish(Turn("1", (incoming,)).ended("complete", "words"))
    await reply.aclose()
    await reply.aclose()
    assert closed == [False]
    assert errors.getvalue() == ""
    os.close(writing)


@pytest.mark.parametrize(
    ("shown", "answer", "expected"),
    [
        (["one ", "two"], "one two", "one two\n"),
        (["one "], "one two\n", "one two\n"),
        ([], "one", "one\n"),
        (["other"], "one", "other\none\n"),
        ([], "", ""),
    ],
)
async def test_an_answer_is_written_whole_whatever_was_shown(
    shown: list[str], answer: str, expected: str
) -> None:
    reading, writing = os.pipe()

    async def never() -> None:
        raise AssertionError

    reply = PipedReply(StandardStreams(None, writing, None), lambda _: None, never)
    for piece in shown:
        await reply.show(piece)
    incoming = parse("hello", SESSION)
    assert incoming is not None
    await reply.finish(Turn("1", (incoming,)).ended("complete", answer))
    os.close(writing)
    assert os.read(reading, 100).decode() == expected
    os.close(reading)


def test_a_file_is_numbered_rather_than_overwritten(tmp_path: Path) -> None:
    names = [save_file("../talk.md", b"%d" % number, tmp_path).name for number in range(3)]
    assert names == ["talk.md", "talk-2.md", "talk-3.md"]
    assert [(tmp_path / name).read_bytes() for name in names] == [b"0", b"1", b"2"]
    with pytest.raises(PlatformRefused, match="No such file"):
        save_file("talk.md", b"", tmp_path / "missing")

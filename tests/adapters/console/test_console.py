"""The console: its pure parts as laws, its ways of answering over a real bot."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from adapters.console.adapter import ADAPTER
from adapters.console.parse import SPEAKER, is_goodbye, parse, session_of
from adapters.console.pipes import Pipes
from adapters.console.render import THEME, Answer, Lines, clean, finished, words_of
from adapters.console.reply import PipedReply, ScreenReply, save
from adapters.console.settings import ConsoleSettings
from bot.conversation import Address, Incoming, Turn
from bot.errors import (
    CommandError,
    KeepthreadError,
    ModelKeyRefused,
    PlaceGone,
    PlatformRefused,
    StoreUnavailable,
)
from bot.ports import Adapter, Connection, Health
from bot.service.direct_core import DirectCore
from bot.settings import Settings
from bot.wiring import open_components
from tests.fakes.model_server import ModelServer, fail, say, stall
from tests.support.wait import wait_until

SESSION = session_of("test")
unhurried = hypothesis.settings(deadline=None)

# Parsing


@unhurried
@given(st.text(), st.text(min_size=1))
def test_whatever_is_said_is_taken_as_it_was_said(text: str, name: str) -> None:
    said = parse(text, session_of(name))
    if not text.strip():
        assert said is None
        return
    assert said is not None
    assert said.session == session_of(name)
    if said.kind == "command":
        assert "/" + "".join(said.text.split()) == "".join(text.split())
    else:
        assert said.text == Incoming(Address(SESSION), said.speaker, text).text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("/reset", "reset"),
        ("/export  json ", "export json"),
        ("/HELP", "HELP"),
        ("/a b\nc", "a b\nc"),
    ],
)
def test_a_slash_and_a_word_are_a_command(line: str, text: str) -> None:
    said = parse(line, SESSION)
    assert said is not None
    assert (said.kind, said.text) == ("command", text)


@pytest.mark.parametrize("line", ["/etc/passwd", " /reset", "/", "// reset", "1/2", "/2 is it"])
def test_paths_and_fractions_are_no_commands(line: str) -> None:
    said = parse(line, SESSION)
    assert said is not None
    assert (said.kind, said.text) == ("message", line)


def test_how_people_say_goodbye() -> None:
    assert is_goodbye(" /exit\n")
    assert is_goodbye("/quit")
    assert not is_goodbye("quit")


# Rendering

PIECES = st.sampled_from(
    [
        *(
            "word",
            "a",
            "Ω",
            "日本",
            " ",
            "    ",
            "\n",
            "\n\n",
            "# ",
            "- ",
            "1. ",
            "> ",
            "```",
            "```py\n",
        ),
        *(
            "---",
            "===",
            "|",
            "| a | b |\n|---|---|\n| c | d |\n",
            "**",
            "_",
            "`",
            "~~~",
            "[x](http://y)",
        ),
        *("<b>", "<!-- ", "-->", "[r]: /u\n", "![p](q)", "\\", "&amp;", "\t", "+++", "* ", "~~"),
    ]
)
MARKDOWN = st.lists(PIECES, max_size=25).map("".join)


def screen_of(*texts: str, width: int = 60) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, theme=THEME)
    for text in texts:
        console.print(Lines(Answer(text)))
    return out.getvalue()


def words_in(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@unhurried
@given(st.text(), st.text())
def test_cleaning_the_parts_cleans_the_whole(one: str, other: str) -> None:
    assert clean(one) + clean(other) == clean(one + other)


@unhurried
@given(st.text())
def test_no_control_character_passes(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", clean(text))
    printable = "".join(c for c in text if c.isprintable() or c in "\n\t ")
    assert [c for c in clean(text) if c in printable] == list(printable)


@unhurried
@given(MARKDOWN)
@example("para\n#hashtag\n")
@example("- a\n\n      code\n\n- b\n")
def test_what_is_finished_looks_the_same_whatever_follows(text: str) -> None:
    """Written for good block by block, an answer is what it would be written at once."""
    ends = [finished(text[:cut]) for cut in range(len(text) + 1)]
    assert all(0 <= end <= cut for cut, end in enumerate(ends))
    whole = screen_of(text).split()
    for end in set(ends):
        assert screen_of(text[:end], text[end:]).split() == whole


@unhurried
@given(MARKDOWN)
def test_a_finished_part_stays_finished(text: str) -> None:
    ends = [finished(text[:cut]) for cut in range(len(text) + 1)]
    assert ends == sorted(ends)


SENTENCE = st.lists(st.from_regex(r"[a-zé]{1,12}", fullmatch=True), min_size=1, max_size=8).map(
    " ".join
)
BLOCK = st.one_of(
    SENTENCE,
    SENTENCE.map("# {}".format),
    SENTENCE.map("> {}".format),
    SENTENCE.map("<div>{}</div>".format),
    SENTENCE.map("one <kbd>{}</kbd> two".format),
    SENTENCE.map("![{}](http://example.org/picture)".format),
    SENTENCE.map("[{}](http://example.org/page)".format),
    SENTENCE.map("[note]: {}".format),
    SENTENCE.map("**{}**".format),
    st.lists(SENTENCE, min_size=1, max_size=4).map(
        lambda items: "\n".join(f"- {i}" for i in items)
    ),
    st.lists(SENTENCE, min_size=1, max_size=4).map(lambda items: "\n".join(items)),
    st.lists(SENTENCE, min_size=1, max_size=4).map(
        lambda lines: "```\n" + "\n".join(lines) + "\n```"
    ),
    st.tuples(SENTENCE, SENTENCE).map(
        lambda cells: f"| a | b |\n|---|---|\n| {cells[0]} | {cells[1]} |"
    ),
)


@unhurried
@given(st.lists(BLOCK, min_size=1, max_size=6).map("\n\n".join))
def test_no_word_is_lost(text: str) -> None:
    assert words_in(screen_of(text, width=400)) == words_in(text)


def test_lines_stay_broken_and_code_is_not_indented() -> None:
    seen = screen_of("Roses are red\nViolets are blue\n\n```python\nif x:\n    y()\n```\n")
    assert seen.splitlines() == ["Roses are red", "Violets are blue", "", "if x:", "    y()"]


def test_an_error_is_told_with_its_cure_once() -> None:
    told = words_of(ModelKeyRefused("401 \x1b[2Jno", cure="Check the key."))
    assert told.splitlines()[1:] == ["401 [2Jno", "Check the key."]
    assert words_of(CommandError("There is nothing.")) == "There is nothing."


# Answering, over a real bot


@pytest.fixture
async def core(settings: Settings, model: ModelServer) -> AsyncIterator[DirectCore]:
    changed = {"openai_base_url": model.base_url, "openai_api_key": "fake"}
    async with open_components(Settings.load(**{**dict(settings), **changed})) as bot:
        core = DirectCore(bot)
        try:
            yield core
        finally:
            await core.aclose()


class Stage:
    """A connection whose replies go to a screen or a pipe of the test's own."""

    def __init__(self, core: DirectCore, pipes: Pipes | None = None) -> None:
        self.core = core
        self.out = io.StringIO()
        self.pipes = pipes
        self.console = Console(
            file=self.out, width=60, height=10, theme=THEME, force_terminal=True, color_system=None
        )
        self.closed: list[bool] = []
        core.connect(self)

    def reply(self, address: Address) -> ScreenReply | PipedReply:
        if self.pipes is not None:
            return PipedReply(self.pipes, self.closed.append, self.stop)
        return ScreenReply(self.console, self.closed.append)

    async def stop(self) -> None:
        await self.core.stop(SESSION, SPEAKER)

    async def ask(self, line: str) -> bool:
        """Whether it failed."""
        said = parse(line, SESSION)
        assert said is not None
        await self.core.enqueue(said)
        await wait_until(lambda: self.closed)
        return self.closed.pop()


def seen_on(stage: Stage) -> str:
    """The output as a terminal would leave it: what was redrawn is gone."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", stage.out.getvalue()):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1] or 1)
            assert row >= 0, "above the screen"
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith(("\x1b", "\r")):
            lines[row] += part
    return "\n".join(lines)


async def test_a_long_answer_is_on_the_screen_once_and_whole(
    core: DirectCore, model: ModelServer
) -> None:
    code = "\n".join(f"line_{number} = {number}" for number in range(40))
    items = "\n".join(f"- item {number}" for number in range(30))
    answer = f"# Title\n\nFirst.\nSecond.\n\n```python\n{code}\n```\n\n{items}\n\nThe *end*."
    model.script = [say(answer, size=7, delay_s=0.002)]
    stage = Stage(core)
    assert await stage.ask("hello") is False
    assert seen_on(stage).rstrip() == screen_of(answer).rstrip()  # line by line, blank ones too
    assert "thinking" in stage.out.getvalue()


async def test_the_growing_part_never_outgrows_the_screen(
    core: DirectCore, model: ModelServer
) -> None:
    model.script = [say("\n".join(f"- item {number}" for number in range(60)), delay_s=0.002)]
    stage = Stage(core)
    await stage.ask("hello")
    ups = [int(n) for n in re.findall(r"\x1b\[(\d+)A", stage.out.getvalue())]
    # Each line is gone up by itself while it is redrawn.
    redrawn = re.findall(r"(?:\x1b\[1A\x1b\[2K)+", stage.out.getvalue())
    assert max(ups) == 1
    assert max(run.count("A") for run in redrawn) < stage.console.height


async def test_a_stopped_answer_keeps_what_was_shown(core: DirectCore, model: ModelServer) -> None:
    model.script = [stall("The first words")]
    stage = Stage(core)
    asked = asyncio.create_task(stage.ask("hello"))
    await wait_until(lambda: "The first words" in stage.out.getvalue())
    assert await core.stop(SESSION, SPEAKER)
    assert await asked is False
    assert seen_on(stage).split() == ["The", "first", "words", "(stopped)"]
    past = await core.services.history.read(SESSION)
    assert [item.turn.answer for item in past.window] == ["The first words"]


async def test_an_error_is_shown_under_what_was_shown(core: DirectCore, model: ModelServer) -> None:
    model.script = [fail(401, "invalid_api_key", "Incorrect API key")]
    stage = Stage(core)
    assert await stage.ask("hello") is True
    assert "does not let me in" in seen_on(stage)
    assert "OPENAI_API_KEY" in seen_on(stage)


async def test_escape_sequences_of_an_answer_do_nothing(
    core: DirectCore, model: ModelServer
) -> None:
    model.script = [say("a\x1b[2Jb \x1b]0;title\x07c \x9b31md", size=3)]
    stage = Stage(core)
    await stage.ask("hello")
    assert seen_on(stage).rstrip() == "a[2Jb ]0;titlec 31md"
    assert "\x1b[2J" not in stage.out.getvalue()


async def test_an_export_is_saved_where_one_is(core: DirectCore, tmp_path: Path) -> None:
    stage = Stage(core)
    await stage.ask("my name is Ada")
    assert await stage.ask("/export") is False
    saved = tmp_path / re.findall(r"conversation-\w+.md", seen_on(stage).replace("\n", ""))[0]
    assert "my name is Ada" in saved.read_text()


async def test_a_folder_that_cannot_be_written_to_is_told(
    core: DirectCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(core)
    await stage.ask("my name is Ada")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert await stage.ask("/export") is True
    assert "No such file" in seen_on(stage)


async def test_a_mistake_in_a_command_ends_neither_the_talk_nor_in_silence(
    core: DirectCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(core.services.sessions, "get", broken)
    stage = Stage(core)
    assert await stage.ask("/status") is True
    assert KeepthreadError.sentence in seen_on(stage)
    assert await stage.ask("hello") is False


async def test_two_lines_are_answered_in_order_into_a_pipe(core: DirectCore) -> None:
    reading, writing = os.pipe()
    stage = Stage(core, Pipes(None, writing, None))
    assert await stage.ask("my name is Ada") is False
    assert await stage.ask("what is my name?") is False
    assert os.read(reading, 4_096) == b"You said: my name is Ada\nYour name is Ada.\n"
    os.close(writing)
    os.close(reading)


# Pipes


async def lines_of(data: bytes, chunks: int = 1) -> list[str]:
    reading, writing = os.pipe()
    try:

        async def feed() -> None:
            size = max(1, -(-len(data) // chunks))
            for at in range(0, len(data), size):
                os.write(writing, data[at : at + size])
                await asyncio.sleep(0)
            os.close(writing)

        feeding = asyncio.create_task(feed())
        found = [line async for line in Pipes(reading, None, None).lines()]
        await feeding
        return found
    finally:
        os.close(reading)


@unhurried
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.integers(1, 20))
def test_lines_are_the_same_however_they_arrive(text: str, chunks: int) -> None:
    expected = [line.removesuffix("\r") for line in text.split("\n")]
    assert asyncio.run(lines_of(text.encode(), chunks)) == expected


async def test_a_line_that_never_comes_can_be_given_up() -> None:
    reading, writing = os.pipe()
    lines = Pipes(reading, None, None).lines()
    waiting = asyncio.create_task(anext(lines))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    os.close(reading)
    os.close(writing)


async def test_a_reader_that_has_gone_is_noticed_and_the_answer_counts_as_undelivered() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    complaints = io.StringIO()
    pipes = Pipes(None, writing, complaints)
    closed: list[bool] = []
    stopped: list[int] = []

    async def stop() -> None:
        stopped.append(1)

    reply = PipedReply(pipes, closed.append, stop)
    await reply.show("words")
    assert pipes.is_reader_gone
    assert stopped
    said = parse("hello", SESSION)
    assert said is not None
    with pytest.raises(PlaceGone):
        await reply.finish(Turn("1", (said,)).ended("complete", "words"))
    await reply.aclose()
    await reply.aclose()
    assert closed == [False]
    assert complaints.getvalue() == ""
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

    reply = PipedReply(Pipes(None, writing, None), lambda _: None, never)
    for piece in shown:
        await reply.show(piece)
    said = parse("hello", SESSION)
    assert said is not None
    await reply.finish(Turn("1", (said,)).ended("complete", answer))
    os.close(writing)
    assert os.read(reading, 100).decode() == expected
    os.close(reading)


# Files


def test_a_file_is_numbered_rather_than_overwritten(tmp_path: Path) -> None:
    names = [save("../talk.md", b"%d" % number, tmp_path).name for number in range(3)]
    assert names == ["talk.md", "talk-2.md", "talk-3.md"]
    assert [(tmp_path / name).read_bytes() for name in names] == [b"0", b"1", b"2"]
    with pytest.raises(PlatformRefused, match="No such file"):
        save("talk.md", b"", tmp_path / "missing")


# The adapter


async def test_it_keeps_to_the_ports(core: DirectCore) -> None:
    adapter: Adapter[ConsoleSettings] = ADAPTER
    own = ConsoleSettings.load()
    assert not adapter.is_configured(own)
    assert await adapter.check(core.settings, own) == []
    connection: Connection = await adapter.open(core, own)
    assert connection.health() == Health(ready=True)
    assert connection.routes() == []
    await connection.aclose()


async def test_what_cannot_be_put_in_is_told(
    core: DirectCore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def enqueue(_: Incoming) -> None:
        raise StoreUnavailable("no route", cure="Start Redis.")

    monkeypatch.setattr(core, "enqueue", enqueue)
    reading, writing = os.pipe()
    os.write(writing, b"hello\nhello again\n")
    os.close(writing)
    with open(reading) as stdin:  # noqa: ASYNC230  a pipe that is filled
        monkeypatch.setattr("sys.stdin", stdin)
        assert await ADAPTER.chat(core, session_name="test", banner="") == 1
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.count(StoreUnavailable.sentence) == 2
    assert "Start Redis." in told.err

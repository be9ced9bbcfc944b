"""`keepthread chat` in a terminal: the screen, and the keys."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from tests.fakes.model_server import ModelServer, fail, say, stall
from tests.fakes.terminal import Terminal
from tests.support.chat_process import Program
from tests.support.wait import wait_until

CURSOR_ON = "\x1b[?25h"


@pytest.fixture
async def terminal(program: Program) -> AsyncIterator[Terminal]:
    with Terminal(program.command("chat"), program.environment, folder=program.home) as terminal:
        await in_thread(terminal.wait_for_prompt)
        yield terminal


async def in_thread(wait: Callable[..., Any], *arguments: Any) -> Any:
    """Wait in a thread: the model is served on this event loop."""
    return await asyncio.to_thread(wait, *arguments)


async def ask(terminal: Terminal, line: str) -> None:
    """Type `line` and wait for the next prompt."""
    terminal.press(line)
    await in_thread(terminal.wait_for, f"› {line}")
    terminal.press("enter")
    await in_thread(terminal.wait_for_prompt)


async def test_an_answer_is_shown_as_markdown_and_remembered(
    terminal: Terminal, model: ModelServer
) -> None:
    assert "Ctrl-D leaves" in terminal.text
    model.script = [say("Hello **Ada**, with `code`.", size=3, delay_s=0.01)]
    await ask(terminal, "my name is Ada")
    await in_thread(terminal.wait_for, "Hello Ada, with code.")
    await ask(terminal, "what is my name?")
    await in_thread(terminal.wait_for, "Your name is Ada.")
    assert "thinking" in terminal.raw
    assert "thinking" not in terminal.text


async def test_an_answer_longer_than_the_screen_is_complete(
    terminal: Terminal, model: ModelServer
) -> None:
    paragraphs = "\n\n".join(f"Paragraph number {number}." for number in range(30))
    items = "\n".join(f"- item {number}" for number in range(40))
    model.script = [say(f"{paragraphs}\n\n{items}\n", size=20, delay_s=0.005)]
    await ask(terminal, "tell me much")
    seen = terminal.text.splitlines()
    found = [line.strip() for line in seen if "Paragraph" in line or "item" in line]
    assert found == [f"Paragraph number {number}." for number in range(30)] + [
        f"• item {number}" for number in range(40)
    ]


async def test_control_c_stops_an_answer_and_keeps_the_prompt(
    terminal: Terminal, model: ModelServer
) -> None:
    model.script = [stall("Once upon a time")]
    terminal.press("tell me a story", "enter")
    await in_thread(terminal.wait_for, "Once upon a time")
    terminal.press("ctrl-c")
    await in_thread(terminal.wait_for_prompt)
    assert "Once upon a time" in terminal.text
    assert "(stopped)" in terminal.text
    await wait_until(lambda: model.cancelled == 1)
    await ask(terminal, "my name is Ada")
    told = [message["content"] for message in model.requests[-1].messages]
    assert any("Once upon a time" in text for text in told)


async def test_control_c_before_the_first_word_stops_the_answer_too(
    terminal: Terminal, model: ModelServer
) -> None:
    model.script = [stall("")]
    terminal.press("tell me a story", "enter")
    await in_thread(terminal.wait_for, "thinking")
    await wait_until(lambda: model.requests)
    terminal.press("ctrl-c")
    await in_thread(terminal.wait_for_prompt)
    assert "(stopped)" in terminal.text


async def test_control_c_twice_leaves_when_nothing_else_helps(
    terminal: Terminal, program: Program
) -> None:
    (server,) = [
        process
        for process in psutil.process_iter(["cmdline", "exe"])
        if str(program.home) in " ".join(process.info["cmdline"] or ())
        and "valkey-server" in str(process.info["exe"])
    ]
    server.suspend()
    try:
        terminal.press("hello", "enter")
        await in_thread(terminal.wait_for, "thinking")
        shown = terminal.raw.count(CURSOR_ON)
        terminal.press("ctrl-c")
        await in_thread(terminal.wait_for, "Ctrl-C again leaves")
        terminal.press("ctrl-c")
        await in_thread(
            terminal.wait_for_condition, lambda: terminal.raw.count(CURSOR_ON) > shown, "an end"
        )
    finally:
        server.resume()
    assert await in_thread(terminal.wait_for_exit) == 128 + signal.SIGINT
    assert "Traceback" not in terminal.text


async def test_control_c_at_the_prompt_says_how_to_leave(terminal: Terminal) -> None:
    terminal.press("some words")
    await in_thread(terminal.wait_for, "› some words")
    terminal.press("ctrl-c")
    await in_thread(terminal.wait_for_prompt)
    terminal.press("ctrl-c")
    await in_thread(
        terminal.wait_for_condition, lambda: terminal.text.count("Ctrl-D leaves") == 2, "a hint"
    )
    terminal.press("ctrl-d")
    assert await in_thread(terminal.wait_for_exit) == 0


async def test_tab_completes_commands(terminal: Terminal) -> None:
    terminal.press("/he", "tab", "enter")
    await in_thread(terminal.wait_for, "Forget this conversation for good")
    await in_thread(terminal.wait_for_prompt)
    terminal.press("/")
    await in_thread(terminal.wait_for, "/export")  # the menu comes by itself
    await in_thread(terminal.wait_for, "Leave.")


async def test_the_up_arrow_brings_back_what_was_said_also_in_the_next_run(
    terminal: Terminal, program: Program, model: ModelServer
) -> None:
    await ask(terminal, "the very first words")
    terminal.press("up")
    await in_thread(
        terminal.wait_for_condition, lambda: terminal.text.endswith("› the very first words"), "it"
    )
    terminal.press("ctrl-c", "ctrl-d")
    assert await in_thread(terminal.wait_for_exit) == 0
    history = program.home / "data" / "console-history"
    assert history.stat().st_mode & 0o077 == 0
    with Terminal(program.command("chat"), program.environment) as again:
        await in_thread(again.wait_for_prompt)
        again.press("up")
        await in_thread(again.wait_for, "› the very first words")


async def test_alt_enter_and_pasting_make_several_lines(
    terminal: Terminal, model: ModelServer
) -> None:
    terminal.press("one", "alt-enter", "two")
    await in_thread(terminal.wait_for, "  two")
    terminal.press("\x1b[200~, three\nfour\x1b[201~")  # what terminals send for a paste
    await in_thread(terminal.wait_for, "  four")
    assert not model.requests
    terminal.press("enter")
    await in_thread(terminal.wait_for, "You said: one")
    assert model.requests[0].messages[-1]["content"] == "one\ntwo, three\nfour"


async def test_keys_typed_during_an_answer_wait_for_the_next_line(
    terminal: Terminal, model: ModelServer
) -> None:
    model.script = [stall("Once upon a time")]
    terminal.press("tell me a story", "enter")
    await in_thread(terminal.wait_for, "Once upon a time")
    terminal.press("typed ahead")
    terminal.press("ctrl-c")
    await in_thread(terminal.wait_for, "(stopped)")
    # The terminal drops what was typed before an interrupt, as in every program; nothing was shown amid it.
    assert "Once upon a timetyped" not in terminal.text.replace("\n", "")


async def test_control_d_pressed_during_an_answer_leaves_after_it(
    terminal: Terminal, model: ModelServer
) -> None:
    model.script = [say("one two three", size=3, delay_s=0.05)]
    terminal.press("hello", "enter")
    await in_thread(terminal.wait_for, "one")
    terminal.press("ctrl-d")
    assert await in_thread(terminal.wait_for_exit) == 0
    assert "one two three" in terminal.text


async def test_an_ascii_terminal_shows_replacement_characters(
    program: Program, model: ModelServer
) -> None:
    environment = {**program.environment, "PYTHONIOENCODING": "ascii"}
    model.script = [say("A tree: \N{DECIDUOUS TREE}.")]
    with Terminal(program.command("chat"), environment, folder=program.home) as terminal:
        await in_thread(terminal.wait_for, "leaves.")
        terminal.press("hello", "enter")
        await in_thread(terminal.wait_for, "A tree: ?.")
        terminal.press("ctrl-d")
        assert await in_thread(terminal.wait_for_exit) == 0


async def test_an_error_is_readable_and_the_conversation_goes_on(
    terminal: Terminal, model: ModelServer
) -> None:
    model.script = [fail(401, "invalid_api_key", "Incorrect API key")]
    await ask(terminal, "hello")
    assert "does not let me in" in terminal.text
    assert "OPENAI_API_KEY" in terminal.text
    assert "Traceback" not in terminal.text
    await ask(terminal, "hello again")
    assert "You said: hello again" in terminal.text


async def test_sigterm_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    os.kill(terminal.pid, signal.SIGTERM)
    assert await in_thread(terminal.wait_for_exit) == 128 + signal.SIGTERM
    assert "Traceback" not in terminal.text
    assert terminal.raw.rstrip().endswith("\x1b[?2004l") or "\x1b[?25h" in terminal.raw[-40:]


async def test_the_command_quit_leaves(terminal: Terminal) -> None:
    terminal.press("/quit", "enter")
    assert await in_thread(terminal.wait_for_exit) == 0


async def test_a_closed_window_ends_the_process_and_its_server(
    program: Program, model: ModelServer
) -> None:
    model.script = [stall("Once upon a time")]
    with Terminal(program.command("chat"), program.environment, folder=program.home) as terminal:
        await in_thread(terminal.wait_for_prompt)
        terminal.press("tell me a story", "enter")
        await in_thread(terminal.wait_for, "Once upon a time")
        ours = [
            process
            for process in psutil.process_iter(["cmdline"])
            if str(program.home) in " ".join(process.info["cmdline"] or ())
        ]
        assert ours
        assert await in_thread(terminal.hang_up) == 128 + signal.SIGHUP
        _, alive = await in_thread(psutil.wait_procs, ours, 30)
        assert not alive
        await wait_until(lambda: model.cancelled == 1)
    _, out, _ = await asyncio.to_thread(program.run, "sessions", "show", "default")
    assert "bot (stopped): Once upon a time" in out

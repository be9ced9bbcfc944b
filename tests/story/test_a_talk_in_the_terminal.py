"""An evening at a terminal: Ada talks, stops an answer, leaves, and is remembered when she comes back.

Read it from top to bottom: it is all that `keepthread chat` asks of a person, and all it gives.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.fakes.model_server import ModelServer, fail, say, stall
from tests.fakes.terminal import Terminal
from tests.support.chat_process import Program
from tests.support.wait import wait_until


class Ada:
    """Ada at the keyboard: each step waits until the screen shows its text."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def reads(self, text: str) -> None:
        await self._in_thread(self._terminal.wait_for, text)

    async def says(self, line: str) -> None:
        await self._in_thread(self._terminal.wait_for_prompt)
        self._terminal.press(line, "enter")

    async def presses(self, *keys: str) -> None:
        self._terminal.press(*keys)

    async def is_asked_again(self) -> None:
        await self._in_thread(self._terminal.wait_for_prompt)

    async def leaves(self) -> int:
        await self.is_asked_again()
        self._terminal.press("ctrl-d")
        return int(await self._in_thread(self._terminal.wait_for_exit))

    @staticmethod
    async def _in_thread(wait: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(wait, *arguments)  # the event loop serves the model


def exported_to(folder: Path) -> str:
    (file,) = folder.glob("conversation-*.md")
    return file.read_text()


async def test_a_talk_in_the_terminal(model: ModelServer, tmp_path: Path) -> None:
    program = Program.with_model(tmp_path, model)
    chat = program.command("chat")
    with Terminal(chat, program.environment, folder=tmp_path) as terminal:
        ada = Ada(terminal)

        # It says who answers, where it remembers, and how to leave. Then it is her turn.
        await ada.reads("Keepthread with gpt-5-mini. Memory: embedded server")
        await ada.reads("Ctrl-D leaves.")

        # She talks, and it remembers.
        await ada.says("my name is Ada")
        await ada.reads("You said: my name is Ada")
        await ada.says("what is my name?")
        await ada.reads("Your name is Ada.")

        # An answer is Markdown, and looks like it.
        model.script = [say("Two herons:\n\n- one **grey**\n- one `white`\n")]
        await ada.says("which birds are there?")
        await ada.reads("• one grey")
        await ada.reads("• one white")

        # This one takes too long. Ctrl-C ends it, and what she has read of it stays.
        model.script = [stall("Once upon a time")]
        await ada.says("tell me a very long story")
        await ada.reads("Once upon a time")
        await ada.presses("ctrl-c")
        await ada.reads("(stopped)")
        await wait_until(lambda: model.open_streams == 0)  # nobody pays for the rest

        # The model breaks. She is told what happened and what to do; the talk goes on.
        model.script = [fail(401, "invalid_api_key", "Incorrect API key provided")]
        await ada.says("are you there?")
        await ada.reads("The language model does not let me in.")
        await ada.reads("Check OPENAI_API_KEY")
        model.script = [say("I am here again.")]
        await ada.says("/retry")
        await ada.reads("I am here again.")

        # A command she does not quite remember.
        await ada.says("/statsu")
        await ada.reads("Did you mean “status”?")
        await ada.says("/status")
        await ada.reads("Remembered: 5 turns")

        assert await ada.leaves() == 0

    # The next morning it still knows her, and what was stopped is known as stopped.
    with Terminal(chat, program.environment, folder=tmp_path) as terminal:
        ada = Ada(terminal)
        await ada.says("good morning, what is my name?")
        await ada.reads("Your name is Ada.")
        prompt = str(model.requests[-1].messages)
        assert "Once upon a time" in prompt
        assert "stopped here by the user" in prompt

        # She begins anew: nothing of yesterday is thought of any more, and nothing of it is lost.
        await ada.says("/new")
        await ada.reads("A new conversation.")
        await ada.says("what is my name?")
        await ada.reads("I do not know your name.")
        await ada.says("/export")
        await ada.reads("This conversation:")
        assert await ada.leaves() == 0
    assert "my name is Ada" in exported_to(tmp_path)

"""Records `keepthread chat` with the local model into a picture for the README.

    python -m tests.bench.record_chat docs/chat.svg

It needs the extra `local` and, the first time, some minutes to fetch the model. A
shell runs in a pseudo-terminal, keys are typed into it, and the picture is what the screen shows.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from pathlib import Path

from pyte.screens import Char
from rich.color import ColorParseError
from rich.console import Console
from rich.style import Style
from rich.text import Text

from bot.settings import Settings
from tests.fakes.terminal import Terminal

FIRST_LINES = (
    "My name is Ada and I keep bees. What do bees eat?",
    "Now a short Python function that counts the words of a text.",
)
SECOND_LINES = ("What is my name, and what do I keep?",)
WIDTH, HEIGHT = 92, 60
ANSWER_TIMEOUT_S = 180


def main(target: str) -> None:
    with tempfile.TemporaryDirectory(prefix="keepthread-") as home:
        fetched = sorted((Settings.load().bot_data_dir / "models").glob("*.gguf"))
        environment = {
            **({"BOT_LOCAL_MODEL": str(fetched[0])} if fetched else {}),
            "HOME": home,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PS1": "$ ",
            "LANG": "C.UTF-8",
        }
        shell = ["sh", "-i"]
        with Terminal(
            shell, environment, lines=HEIGHT, columns=WIDTH, folder=Path(home)
        ) as terminal:
            for lines in (FIRST_LINES, SECOND_LINES):
                terminal.wait_for_line("$")
                terminal.press("keepthread chat", "enter")
                for line in lines:
                    terminal.wait_for_prompt(ANSWER_TIMEOUT_S)
                    terminal.press(line)
                    terminal.wait_for(f"› {line}")
                    terminal.press("enter")
                terminal.wait_for_prompt(ANSWER_TIMEOUT_S)
                terminal.press("ctrl-d")
            terminal.wait_for_line("$")
            picture(terminal, Path(target))


def picture(terminal: Terminal, target: Path) -> None:
    """Draw the screen of `terminal`."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    rows = [Text.assemble(*((cell.data, style_of(cell)) for cell in row)) for row in terminal.cells]
    while rows and not rows[-1].plain.strip(" $"):
        rows.pop()
    for row in rows:
        row.rstrip()
        console.print(row)
    drawn = console.export_svg(title="keepthread chat")
    # Without web fonts the picture fetches nothing.
    target.write_text(re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


def style_of(cell: Char) -> Style:
    color = None if cell.fg == "default" else cell.fg.replace("brown", "yellow")
    color = color.replace("bright", "bright_") if color else color
    if color and len(color) == 6 and all(digit in "0123456789abcdef" for digit in color):
        color = f"#{color}"
    try:
        return Style(color=color, bold=cell.bold, italic=cell.italics, underline=cell.underscore)
    except ColorParseError:
        return Style(bold=cell.bold)


if __name__ == "__main__":
    main(sys.argv[1])

"""Parser of lines: laws, and examples of commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.console.parse import is_exit, parse, session_of
from bot.conversation import Address, Incoming
from tests.adapters.console.harness import SESSION, unhurried


@unhurried
@given(st.text(), st.text(min_size=1))
def test_a_line_is_parsed_without_loss(text: str, name: str) -> None:
    incoming = parse(text, session_of(name))
    if not text.strip():
        assert incoming is None
        return
    assert incoming is not None
    assert incoming.session == session_of(name)
    if incoming.kind == "command":
        assert "/" + "".join(incoming.text.split()) == "".join(text.split())
    else:
        assert incoming.text == Incoming(Address(SESSION), incoming.speaker, text).text


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
    incoming = parse(line, SESSION)
    assert incoming is not None
    assert (incoming.kind, incoming.text) == ("command", text)


@pytest.mark.parametrize("line", ["/etc/passwd", " /reset", "/", "// reset", "1/2", "/2 is it"])
def test_paths_and_fractions_are_no_commands(line: str) -> None:
    incoming = parse(line, SESSION)
    assert incoming is not None
    assert (incoming.kind, incoming.text) == ("message", line)


def test_exit_commands_are_quit_and_exit() -> None:
    assert is_exit(" /exit\n")
    assert is_exit("/quit")
    assert not is_exit("quit")

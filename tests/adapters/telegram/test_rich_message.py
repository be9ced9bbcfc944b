"""Rich messages: lists, tables and headings that apps send for typed ones."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Message

from adapters.telegram.inbound.markdown import MAX_CHARS
from adapters.telegram.inbound.rich_message import read_rich_message
from tests.adapters.telegram.harness import ANNA, BEN, GROUP, World
from tests.fakes.model_server import say
from tests.support.growth import assert_near_linear
from tests.support.wait import wait_until


def paragraph(*text: Any) -> dict[str, Any]:
    return {"type": "paragraph", "text": text[0] if len(text) == 1 else list(text)}


def items(*texts: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "list",
        "items": [{"label": "•", "blocks": [paragraph(text)], **more} for text in texts],
    }


def cells(*rows: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    return [[{"text": text, "align": "left", "valign": "top"} for text in row] for row in rows]


MENTION = {"type": "mention", "text": "@keepthread_bot", "username": "keepthread_bot"}
SHOPPING = {
    "blocks": [
        {"type": "list", "items": [{"label": "1.", "blocks": [paragraph("milk")]}]},
    ]
}
FILE = {"file_id": "f", "file_unique_id": "u", "file_size": 12}
PHOTO = {"type": "photo", "photo": [{**FILE, "width": 9, "height": 9}]}


@pytest.mark.parametrize(
    ("blocks", "markdown"),
    [
        (SHOPPING["blocks"], "1. milk"),
        ([items("tea", "milk")], "- tea\n- milk"),
        ([items("tea", has_checkbox=True, is_checked=True)], "- [x] tea"),
        ([items("tea", has_checkbox=True)], "- [ ] tea"),
        (
            [{"type": "list", "items": [{"label": "a)", "blocks": [paragraph("x"), items("y")]}]}],
            "a) x\n   - y",
        ),
        (
            [{"type": "list", "items": [{"label": "1.", "blocks": [paragraph("x"), paragraph("y")]}]}],
            "1. x\n\n   y",
        ),
        ([{"type": "heading", "text": "Plan", "size": 2}, paragraph("Go")], "## Plan\n\nGo"),
        (
            [{"type": "table", "cells": cells(("a", "b"), ("1", "x|y"))}],
            "| a | b |\n|---|---|\n| 1 | x\\|y |",
        ),
        (
            [{"type": "table", "cells": [[{"text": "wide", "colspan": 2}], *cells(("1", "2"))], "caption": "T"}],
            "T\n\n| wide |  |\n|---|---|\n| 1 | 2 |",
        ),
        (
            [{"type": "table", "cells": [[{"text": "high", "rowspan": 2}, {"text": "b"}], [{"text": "c"}]]}],
            "| high | b |\n|---|---|\n|  | c |",
        ),
        (
            [{"type": "blockquote", "blocks": [paragraph("a\nb"), paragraph("c")], "credit": "Zoë"}],
            "> a\n> b\n>\n> c\n> — Zoë",
        ),
        ([{"type": "pullquote", "text": "so"}], "> so"),
        ([{"type": "expandable_blockquote", "text": "so\nit is"}], "> so\n> it is"),
        ([{"type": "pre", "text": "x = '```'\n", "language": "py"}], "````py\nx = '```'\n\n````"),
        ([{"type": "mathematical_expression", "expression": "x^2"}], "$$\nx^2\n$$"),
        ([paragraph("a"), {"type": "divider"}, {"type": "footer", "text": "b"}], "a\n\n---\n\nb"),
        ([{"type": "details", "summary": "More", "blocks": [paragraph("x")]}], "**More**\n\nx"),
        ([{"type": "map", "location": {"latitude": 52.5, "longitude": 13.4}}], "[location: 52.5, 13.4]"),
        ([{"type": "buttons", "buttons": [{"text": "Yes"}, {"text": "No"}]}], "[Yes] [No]"),
        ([{"type": "anchor", "name": "top"}, paragraph("x")], "x"),
        ([{"type": "hologram", "text": "words", "blocks": [paragraph("more")]}], "words\n\nmore"),
    ],
)  # fmt: skip
def test_blocks_become_markdown(blocks: list[Any], markdown: str) -> None:
    """T1: each kind of block, and one that came after this was written."""
    assert read_rich_message({"blocks": blocks}).markdown == markdown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ({"type": "bold", "text": ["very ", {"type": "italic", "text": "big"}]}, "**very _big_**"),
        ({"type": "bold", "text": [" a ", {"type": "bold", "text": "b"}]}, " **a b**"),
        ({"type": "url", "text": {"type": "bold", "text": "here"}, "url": "https://x.example"}, "[**here**](https://x.example)"),
        ({"type": "url", "text": "https://x.example", "url": "https://x.example"}, "https://x.example"),
        ({"type": "url", "text": "a", "url": "https://x.example/a (b)"}, "[a](<https://x.example/a (b)>)"),
        ({"type": "code", "text": ["a`b", {"type": "bold", "text": "c"}]}, "``a`bc``"),
        ({"type": "spoiler", "text": "x"}, "||x||"),
        ({"type": "strikethrough", "text": "x"}, "~~x~~"),
        (["10", {"type": "superscript", "text": "3"}], "10<sup>3</sup>"),
        (["H", {"type": "subscript", "text": "2"}, "O"], "H<sub>2</sub>O"),
        ({"type": "custom_emoji", "custom_emoji_id": "1", "alternative_text": "🙃"}, "🙃"),
        ({"type": "mathematical_expression", "expression": "x^2"}, "$x^2$"),
        ({"type": "date_time", "text": "noon", "unix_time": 1, "date_time_format": "t"}, "noon"),
        ({"type": "button", "button": {"text": "Buy"}}, "[Buy]"),
        ({"type": "hologram", "text": "x"}, "x"),
    ],
)  # fmt: skip
def test_text_becomes_well_nested_markdown(text: Any, markdown: str) -> None:
    """T1: each kind of rich text."""
    assert read_rich_message({"blocks": [paragraph(text)]}).markdown == markdown


def test_pictures_and_files_come_along_where_they_stand() -> None:
    """T1: pictures of a rich message are seen, voice is heard, videos are named."""
    blocks = [
        {"type": "collage", "blocks": [PHOTO], "caption": {"text": "Us", "credit": "Zoë"}},
        {"type": "voice_note", "voice_note": {**FILE, "duration": 1}},
        {"type": "document", "document": {"file_id": "d", "file_name": "a.pdf"}},
        {"type": "video", "video": {**FILE, "width": 1, "height": 1, "duration": 1}},
    ]
    found = read_rich_message({"blocks": blocks})
    kinds = [(file.kind, file.reference) for file in found.attachments]
    assert kinds == [("image", "f"), ("audio", "f"), ("document", "d")]
    assert found.markdown == "[picture 1]\n\nUs — Zoë\n\n[voice message 2]\n\n[file 3]\n\n[video]"
    assert found.unsupported == "videos"


def test_the_sdk_does_not_parse_rich_messages_itself() -> None:
    """T1: once it does, they are no longer among the fields that it does not know."""
    assert "rich_message" not in inspect.signature(Message.__init__).parameters


async def test_a_typed_list_is_read_in_private(world: World) -> None:
    """T1: a live message of blocks."""
    world.model.default = say("You buy milk.")
    world.telegram.say(ANNA, ANNA, rich_message=SHOPPING)
    await world.answered(ANNA, "You buy milk.")
    assert "1. milk" in world.prompt()


async def test_a_mention_within_blocks_is_for_the_bot(world: World) -> None:
    """T1: also deep within a list, by name or by id, and not within code."""
    world.model.default = say("Read.")
    code = {"type": "pre", "text": "@keepthread_bot not me"}
    world.telegram.say(GROUP, BEN, rich_message={"blocks": [code]})
    listed = {"type": "list", "items": [{"label": "•", "blocks": [paragraph("ask ", MENTION)]}]}
    world.telegram.say(GROUP, BEN, rich_message={"blocks": [listed]})
    await world.answered(GROUP, "Read.")
    by_id = {
        "type": "text_mention",
        "text": "Kt",
        "user": {"id": 7000, "is_bot": True, "first_name": "K"},
    }
    world.telegram.say(GROUP, BEN, rich_message={"blocks": [paragraph(by_id, " hello")]})
    await wait_until(lambda: len(world.model.requests) == 2)
    await world.settled()
    assert "not me" not in str([request.messages for request in world.model.requests])


async def test_a_command_within_blocks_is_a_command(world: World) -> None:
    """T1: typed with formatting, it runs all the same."""
    command = {"type": "bot_command", "text": "/whoami", "bot_command": "/whoami"}
    world.telegram.say(ANNA, ANNA, rich_message={"blocks": [paragraph(command)]})
    await world.answered(ANNA, str(ANNA))
    assert not world.model.requests


async def test_a_rich_message_that_is_edited_replied_to_or_forwarded_is_read(world: World) -> None:
    """T1: in every place where a message can stand."""
    said = world.telegram.message(GROUP, BEN, rich_message=SHOPPING)
    world.telegram.say(GROUP, ANNA, "@keepthread_bot how much?", reply_to=said["message_id"])
    await world.answered(GROUP, "how much?")
    assert "> Ben: 1. milk" in world.prompt()
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Zoë"}
    world.telegram.say(ANNA, ANNA, rich_message=SHOPPING, forward_origin=origin)
    await wait_until(lambda: len(world.model.requests) == 2)
    assert "[forwarded from Zoë]\n1. milk" in world.prompt()
    await world.settled()
    said = world.telegram.message(ANNA, ANNA, "I need tea")
    world.telegram.push({"message": said})
    await wait_until(lambda: len(world.model.requests) == 3)
    await world.settled()
    edited = {**said, "rich_message": {"blocks": [items("coffee")]}, "edit_date": said["date"] + 1}
    del edited["text"]
    world.telegram.push({"edited_message": edited})
    await world.answered(ANNA, "You changed your question.")
    assert (await world.remembered(ANNA))[-1].incoming[0].text == "- coffee"


async def test_a_rich_message_of_nothing_readable_is_answered_so(world: World) -> None:
    """T1: the person is told, rather than left without a word."""
    world.telegram.say(ANNA, ANNA, rich_message={"blocks": [{"type": "hologram"}]})
    await world.answered(ANNA, "I cannot read messages of this kind")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["type", "text", "blocks", "items", "cells", "caption", "label", "url", "colspan", "rowspan", "photo", "location", "buttons", "summary", "user", "size"]),
        inner | st.sampled_from(["list", "table", "photo", "map", "bold", "url", "details", "pre", "buttons", "blockquote"]),
        max_size=5,
    ),
    max_leaves=30,
)  # fmt: skip


@given(JSON)
def test_whatever_blocks_hold_they_are_read(raw: Any) -> None:
    """T1: malformed blocks cost nothing but themselves."""
    found = read_rich_message({"blocks": [raw, paragraph("the end")]})
    assert found.markdown.endswith("the end")


FAMILIES = {
    "paragraphs": lambda n: [paragraph("word") for _ in range(n)],
    "one long paragraph": lambda n: [paragraph("word @name_of " * n)],
    "items": lambda n: [items(*["x"] * n)],
    "pieces": lambda n: [paragraph(*[{"type": "bold", "text": "x"}] * n)],
    "rows": lambda n: [{"type": "table", "cells": cells(*[("a", "b")] * n)}],
    "wide cells": lambda n: [{"type": "table", "cells": [[{"text": "x", "colspan": 50, "rowspan": 50}]] * n}],
    "quoted lines": lambda n: [{"type": "blockquote", "blocks": [paragraph("a\n" * n)]}],
    "backticks": lambda n: [paragraph({"type": "code", "text": "` " * n})],
    "blank lines": lambda n: [paragraph({"type": "bold", "text": " \n" * n})],
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_reading_grows_with_the_message(family: str) -> None:
    """T1: no family of rich messages costs more than its size."""
    assert_near_linear(read_rich_message, lambda n: {"blocks": FAMILIES[family](n)}, 200)


def deep(depth: int) -> Any:
    block: Any = paragraph("core")
    text: Any = "x"
    for _ in range(depth):
        block = {"type": "blockquote", "blocks": [block]}
        text = {"type": "bold", "text": [text]}
    return {"blocks": [block, paragraph(text), paragraph("y" * 2 * MAX_CHARS)]}


def test_blocks_too_deep_or_too_long_are_cut_and_marked() -> None:
    """T1: a message of any depth and length is bounded."""
    found = read_rich_message(deep(400))
    assert found.markdown.endswith(" […]")
    assert len(found.markdown) <= MAX_CHARS + 10

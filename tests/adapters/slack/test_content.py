"""Reader of message contents: text, blocks, attachments, files."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.inbound.content import MAX_CHARS, read_message
from adapters.slack.inbound.mrkdwn import decode
from tests.support.growth import assert_near_linear

CELLS = [
    [{"type": "raw_text", "text": "city"}, {"type": "raw_text", "text": "people"}],
    [
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_section",
                    "elements": [{"type": "text", "text": "Bonn", "style": {"bold": True}}],
                }
            ],
        },
        {"type": "raw_text", "text": "a | b"},
    ],
]
TABLE = {"type": "table", "rows": CELLS}
TABLE_TEXT = "| city | people |\n| --- | --- |\n| **Bonn** | a \\| b |"


def rich(*elements: Any) -> dict[str, Any]:
    return {"type": "rich_text", "elements": list(elements)}


def section(*elements: Any) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def read(**message: Any) -> str:
    return decode(read_message(message).text, {"U1": "Ann", "C1": "general", "S1": "ops"})


@pytest.mark.parametrize(
    "message",
    [
        {"text": "", "blocks": [TABLE]},
        {"text": "", "attachments": [{"blocks": [TABLE], "fallback": "[no preview available]"}]},
    ],
)
def test_a_pasted_table_is_read_as_markdown(message: dict[str, Any]) -> None:
    """S4: a table in blocks, or in the blocks of an attachment."""
    assert read(**message) == TABLE_TEXT


def test_a_table_beside_words_is_read_after_them() -> None:
    """S4: the text of a message does not hold its table."""
    words = rich(section({"type": "text", "text": "see this"}))
    assert read(text="see this", blocks=[words, TABLE]) == f"see this\n{TABLE_TEXT}"


def test_an_alert_of_an_app_is_read_with_title_fields_and_blocks() -> None:
    """S4: alerts of other apps in attachments."""
    attachment = {
        "pretext": "Alert!",
        "title": "Disk <full>",
        "title_link": "https://ops.example/1",
        "fields": [{"title": "Host", "value": "db1"}, {"title": "Use", "value": "99 %"}],
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*now*"}}],
        "footer": "ops",
    }
    assert read(text="", bot_id="B1", attachments=[attachment]).splitlines() == [
        "Alert!",
        "[Disk <full>](https://ops.example/1)",
        "**now**",
        "Host: db1",
        "Use: 99 %",
        "ops",
    ]


BLOCKS: list[tuple[dict[str, Any], str]] = [
    ({"type": "header", "text": {"type": "plain_text", "text": "Deploy <3>"}}, "**Deploy <3>**"),
    (
        {
            "type": "section",
            "fields": [{"type": "mrkdwn", "text": "*a*"}, {"type": "plain_text", "text": "b*"}],
        },
        "**a**\nb*",
    ),
    (
        {
            "type": "context",
            "elements": [
                {"type": "image", "image_url": "https://e.example/x.png", "alt_text": "a cat"},
                {"type": "mrkdwn", "text": "by <@U1>"},
            ],
        },
        "[picture: a cat] by @Ann",
    ),
    ({"type": "markdown", "text": "# x < y"}, "# x < y"),
    ({"type": "image", "title": {"type": "plain_text", "text": "plan"}}, "[picture: plan]"),
    (
        rich(
            {
                "type": "rich_text_list",
                "style": "ordered",
                "elements": [section({"type": "text", "text": "one"})] * 2,
            },
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a < b"}]},
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "x\ny"}]},
            section(
                {"type": "user", "user_id": "U1"},
                {"type": "channel", "channel_id": "C1"},
                {"type": "usergroup", "usergroup_id": "S1"},
                {"type": "link", "url": "https://e.example", "text": "here"},
            ),
        ),
        "1. one\n2. one\n```\na < b\n```\n> x\n> y\n@Ann#general@ops[here](https://e.example)",
    ),
    ({"type": "plan_of_2031", "steps": [{"title": "dig"}, {"title": "fill"}]}, "dig\nfill"),
]


@pytest.mark.parametrize(("block", "text"), BLOCKS)
def test_a_message_with_words_only_in_its_blocks_is_read(block: dict[str, Any], text: str) -> None:
    """S4: every kind of block."""
    assert read(text="", blocks=[block]) == text


def test_a_text_that_repeats_its_blocks_is_read_once() -> None:
    """S4: apps send the words of their blocks as text, too; labels of mentions may differ."""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "*Hi* <#C1>, all"}}
    assert read(text="Hi <#C1|general>, all", bot_id="B1", blocks=[block]) == "Hi #general, all"


def test_a_forwarded_message_brings_its_words_and_files() -> None:
    """S4: words and files of a forwarded message, wherever in it they stand."""
    share = {
        "is_share": True,
        "author_name": "Ben",
        "message_blocks": [
            {"message": {"blocks": [rich(section({"type": "text", "text": "ship it"}))]}}
        ],
        "files": [{"id": "F1", "name": "plan.png", "mimetype": "image/png", "url_private": "u"}],
    }
    content = read_message({"text": "", "attachments": [share]})
    assert content.quoted == "Ben: ship it"
    assert [file.name for file in content.files] == ["plan.png"]


def test_an_unfurled_link_adds_no_words() -> None:
    """S4: what Slack fetched for a link was not said by the person."""
    unfurl = {"from_url": "https://e.example", "title": "Example", "text": "Lorem ipsum"}
    assert read(text="<https://e.example>", attachments=[unfurl]) == "https://e.example"


@pytest.mark.parametrize(
    "message",
    [{"blocks": [{"type": "divider"}]}, {"attachments": [{"color": "red"}]}, {"blocks": "x"}],
)
def test_a_message_without_words_and_files_says_so(message: dict[str, Any]) -> None:
    """S4: silence never."""
    assert read_message({"text": " ", **message}).is_unreadable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "elements", "rows", "blocks", "fields", "files", "style"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values, json_values)
def test_whatever_a_message_holds_reading_it_ends(blocks: Any, attachments: Any) -> None:
    content = read_message({"text": "x", "blocks": blocks, "attachments": attachments})
    assert content.text.startswith("x")
    assert len(content.text) <= 2 * MAX_CHARS


@pytest.mark.parametrize(
    "family",
    [
        lambda n: {"text": "<" * n},
        lambda n: {"text": "", "blocks": [rich(section(*[{"type": "text", "text": "a*"}] * n))]},
        lambda n: {"text": "", "blocks": [{"type": "table", "rows": [[{"text": "|"}]] * n}]},
        lambda n: {"text": "a" * n, "blocks": [{"type": "header", "text": {"text": "b"}}] * n},
        lambda n: {"text": "<@U" * n, "attachments": [{"text": "<#C|" * n}]},
    ],
)
def test_reading_grows_no_faster_than_the_message(family: Any) -> None:
    assert_near_linear(read_message, family)

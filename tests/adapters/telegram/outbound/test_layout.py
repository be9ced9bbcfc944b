"""Layout of answers: off the event loop, in near linear time, and within a budget."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from adapters.telegram.outbound import layout
from adapters.telegram.outbound.entities import Entity, Formatted, render
from adapters.telegram.outbound.layout import lay_out, lay_out_newest, newest
from adapters.telegram.outbound.rendering.blocks import RenderingTooSlow
from adapters.telegram.outbound.splitting import split
from bot.text import utf16_length
from tests.adapters.telegram.outbound.families import MARKDOWN
from tests.support.growth import assert_near_linear

families = pytest.mark.parametrize("make", MARKDOWN.values(), ids=MARKDOWN)


@families
def test_rendering_is_near_linear(make: Callable[[int], str]) -> None:
    """M1: twice the text costs about twice the time, whatever marks it holds."""
    assert_near_linear(render, make, 4_000)


@families
def test_splitting_of_plain_text_is_near_linear(make: Callable[[int], str]) -> None:
    """M1: of the Markdown itself, which is what a budget leaves."""
    assert_near_linear(split, lambda size: Formatted(make(size)), 4_000)


FORMATTED: dict[str, Callable[[int], Formatted]] = {
    "an entity a word": lambda size: Formatted(
        "a " * size, tuple(Entity("bold", 2 * at, 1) for at in range(size))
    ),
    "a code block a line": lambda size: Formatted(
        "a\n" * size, tuple(Entity("pre", 2 * at, 1) for at in range(size))
    ),
    "an entity over many": lambda size: Formatted(
        "a " * size,
        (Entity("blockquote", 0, 2 * size), *(Entity("code", 2 * at, 1) for at in range(size))),
    ),
    "one long code block": lambda size: Formatted("a\n" * size, (Entity("pre", 0, 2 * size),)),
    "one long line of code": lambda size: Formatted("a" * size, (Entity("pre", 0, size),)),
}


@pytest.mark.parametrize("make", FORMATTED.values(), ids=FORMATTED)
def test_splitting_of_formatted_text_is_near_linear(make: Callable[[int], Formatted]) -> None:
    """M1: however many entities and code blocks there are."""
    assert_near_linear(split, make, 4_000)


@families
def test_a_rendered_text_is_not_much_longer_than_its_source(make: Callable[[int], str]) -> None:
    """M1: blanks of tables and of lists in lists do not make hundreds of messages."""
    source = make(20_000)
    assert len(render(source).text) <= 8 * len(source) + 4_000


@families
async def test_an_answer_of_any_kind_is_laid_out_within_the_budget(
    make: Callable[[int], str],
) -> None:
    """M1: 40,000 characters need no plain text, and each message keeps Telegram's limits."""
    source = make(40_000)
    render(source, cpu_s=layout.BUDGET_S)
    for piece in await lay_out(source):
        assert utf16_length(piece.text) <= 4_096
        assert len(piece.entities) <= 100


async def test_an_answer_is_laid_out_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """M1: the loop goes on while an answer is rendered, and so do all other conversations."""
    loop = asyncio.get_running_loop()
    reached, go_on = asyncio.Event(), threading.Event()

    def waiting(markdown: str, **_: float) -> Formatted:
        loop.call_soon_threadsafe(reached.set)
        assert go_on.wait(60)
        return Formatted(markdown)

    monkeypatch.setattr(layout, "render", waiting)
    laying_out = asyncio.create_task(lay_out("word " * 1_000))
    await asyncio.wait_for(reached.wait(), 60)
    assert not laying_out.done()
    go_on.set()
    assert " ".join(piece.text for piece in await laying_out).split() == ["word"] * 1_000


async def test_an_answer_that_takes_too_long_arrives_as_plain_text() -> None:
    """M1: plain text stands behind the time budget; no word is lost."""
    source = "**a** [b](https://e.example) " * 400
    with pytest.raises(RenderingTooSlow):
        render(source, cpu_s=0)
    pieces = await lay_out(source, budget_s=0)
    assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(source.split())
    assert not [piece for piece in pieces if piece.entities]
    assert (await lay_out_newest(source, budget_s=0)).text.endswith(source[-2_000:].strip())


async def test_an_answer_beyond_all_measure_is_plain_text_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """M1: the parser's first step cannot be interrupted, so its input is bounded."""
    monkeypatch.setattr(layout, "MAX_CHARS", 1_000)
    pieces = await lay_out("**bold** " * 500)
    assert pieces[0].text.startswith("**bold**")


@families
def test_the_newest_part_of_a_growing_answer_costs_no_more_the_longer_it_grows(
    make: Callable[[int], str],
) -> None:
    """M1: a preview looks at the end of the answer only."""
    shown = newest(make(60_000))
    assert utf16_length(shown.text) <= 4_096
    assert shown.text == "" or shown.text.startswith("…\n")

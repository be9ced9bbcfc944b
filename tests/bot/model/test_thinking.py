"""M5: thinking is split off the answer, however it is marked and wherever the stream is cut into chunks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model.thinking import ThinkingSplitter, reasoning_of
from tests.support.growth import assert_near_linear


def split(
    chunks: list[str], *, holds_back: bool = False, is_complete: bool = True
) -> tuple[str, str]:
    """The answer and the thinking of a stream."""
    splitter = ThinkingSplitter(holds_back=holds_back)
    text, thinking = "", ""
    for part in [
        *(p for c in chunks for p in splitter.feed(c)),
        *splitter.end(is_complete=is_complete),
    ]:
        if part.kind == "retraction":
            text, thinking = "", thinking + text
        elif part.kind == "text":
            text += part.text
        else:
            thinking += part.text
    return text, thinking


STREAMS = [
    ("<think>hm</think>Hello!", "Hello!"),
    ("<think>\nhm\n</think>\n\nHello!", "Hello!"),
    ("\n<think>\n\n</think>\n\nHello!", "Hello!"),
    ("<thinking>hm</thinking>Hello!", "Hello!"),
    ("<THINK>hm</Think>Hello!", "Hello!"),
    ("<think budget='3'>hm</think>Hello!", "Hello!"),
    ("<mm:think>hm</mm:think>Hello!", "Hello!"),
    ("<seed:think>hm</seed:think>Hello!", "Hello!"),
    ("<thought>hm</thought>Hello!", "Hello!"),
    ("<reasoning>hm</reasoning>Hello!", "Hello!"),
    ("[THINK]hm[/THINK]Hello!", "Hello!"),
    ("◁think▷hm◁/think▷Hello!", "Hello!"),
    ("<|START_THINKING|>hm<|END_THINKING|>Hello!", "Hello!"),
    ("<|begin_of_thought|>hm<|end_of_thought|>\nHello!", "Hello!"),
    ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi", "Hi"),
    ("<|channel>thought\nhm<channel|>Hello!", "Hello!"),
    ("<think>hm</thinking>Hello!", "Hello!"),
    ("<think>hm <think> hm</think></think>Hello!", "Hello!"),
    ("<think>a</think><think>b</think>Hello!", "Hello!"),
    ("<think>a</think>Hello!\n<think>b</think>Bye!", "Hello!\nBye!"),
    ("Hm, they greet.</think>Hello!", "Hello!"),
    ("Hm, they greet.\n</think>\n\nHello!", "Hello!"),
    ("</think>\n\nHello!", "Hello!"),
    ("<think>nothing more", ""),
    ("<think>`</think>` in code</think>Hello!", "` in code</think>Hello!"),
]  # fmt: skip

ANSWERS = [
    "Hello!",
    "",
    " \n ",
    "\n\nHello!",
    "a < b, a<b, <b>bold</b>, 1 <2",
    "Write `<think>` and then `</think>`.",
    "```xml\n<think>\nhm\n</think>\n```\nThat is all.",
    "~~~\n</think>\n~~~",
    "The <think> tag is closed by </think>.",
    'It ends with "</think>".',
    "<answer>4</answer>",
    "<div>\n<reasoning>\nbecause\n</reasoning>\n</div>",
    "Begin with\n<think>\nand go on",
    "[THINKING] of [THIS]",
    "<thinker>hm</thinker>",
    "A trailing <",
    "A trailing <thi",
    "Hello!</think>",
    "<|im_start|>",
]


@pytest.mark.parametrize(("stream", "answer"), STREAMS)
def test_thinking_is_no_part_of_the_answer(stream: str, answer: str) -> None:
    """M5: tags of all kinds, whole, split over chunks, and a closing one alone."""
    assert split([stream])[0] == answer
    assert split(list(stream))[0] == answer


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_without_thinking_stays_as_it_is(answer: str) -> None:
    whole = answer.removesuffix("</think>") if answer == "Hello!</think>" else answer
    assert split([answer])[0] == whole
    assert split(list(answer))[0] == whole


@given(
    st.lists(
        st.sampled_from(
            [*"<>/|`\n [◁▷", "<think>", "</think>", "[THINK]", "[/THINK]", "```", "hm ", "<|", "\\"]
        )
        | st.text(max_size=3),
        max_size=20,
    ),
    st.data(),
)
def test_the_cut_into_chunks_changes_nothing(pieces: list[str], data: st.DataObject) -> None:
    """M5: tags split over chunks."""
    stream = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(chunks) == split([stream])


@given(st.text(alphabet="ab <>\n`", max_size=60))
def test_text_without_tags_is_passed_on_unchanged(text: str) -> None:
    assert split(list(text)) == (text, "")


def test_a_closing_tag_alone_is_known_the_next_time() -> None:
    """M5: what is shown once is held back from then on."""
    splitter = ThinkingSplitter()
    splitter.feed("Hm.</think>Hello!")
    assert splitter.closed_alone
    again = ThinkingSplitter(holds_back=splitter.closed_alone)
    assert [part.kind for part in again.feed("Hm, well.")] == []
    assert [part.kind for part in again.feed("</think>\nHi")] == ["thinking", "text"]
    assert split(["Just ", "text."], holds_back=True) == ("Just text.", "")
    assert split(["<think>hm</think>Hi"], holds_back=True) == ("Hi", "hm")
    assert split(["Hm, w"], holds_back=True, is_complete=False) == ("", "")


@pytest.mark.parametrize(
    ("delta", "thinking"),
    [
        ({"reasoning_content": "hm"}, "hm"),
        (
            {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
            "hm",
        ),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}, "hm"),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, ""),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, "hm"),
        ({"content": [{"type": "text", "text": "Hello!"}]}, ""),
        ({"content": "Hello!", "reasoning_content": None}, ""),
        ({"reasoning_content": 7, "reasoning": {"content": "hm"}}, "hm"),
        ({"content": [7, {"type": "reasoning"}]}, ""),
    ],
)
def test_thinking_in_fields_of_its_own_is_found(delta: dict[str, object], thinking: str) -> None:
    """M5: `reasoning_content`, `reasoning` and their like."""
    assert reasoning_of(delta) == thinking


FAMILIES: dict[str, Callable[[int], list[str]]] = {
    "open tags": lambda n: ["<think>" * n],
    "closing tags": lambda n: ["</think>" * n],
    "brackets": lambda n: ["<" * n],
    "brackets one by one": lambda n: ["<"] * n,
    "white space one by one": lambda n: [" "] * n,
    "a tag without an end": lambda n: ["<think " + "a" * n],
    "a tag without an end, one by one": lambda n: ["<think ", *["a"] * n],
    "pipes": lambda n: ["<|" * n],
    "names": lambda n: ["<" + "a:" * n],
    "backticks and tags": lambda n: ["`<think>\n" * n],
    "half tags": lambda n: ["[THIN◁thin" * n],
}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_splitting_grows_with_the_text(family: Callable[[int], list[str]]) -> None:
    assert_near_linear(split_parts, family)


def split_parts(chunks: list[str]) -> None:
    splitter = ThinkingSplitter()
    for chunk in chunks:
        splitter.feed(chunk)
    splitter.end()

"""Prompts are never over budget, keep their beginning stable, and are cut rarely."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.conversation import Turn
from bot.errors import MessageTooLong
from bot.ports import FoldState, HistorySnapshot, Message, Prompt, ProvenPrompt, StoredTurn
from bot.prompt.builder import MAX_WINDOW_TURNS, PromptBuilder
from bot.prompt.tokens import count_tokens
from bot.prompt.transcript import alternating, messages_of, tokens_of
from tests.bot.prompt.prompt_harness import CONTEXT, answered, asked, past_of
from tests.support.messages import make_message


def size(prompt: Prompt) -> int:
    return sum(count_tokens(message.text) + 4 for message in prompt.messages)


def texts(prompt: Prompt) -> list[str]:
    return [message.text for message in prompt.messages]


some_text = st.text(max_size=80) | st.sampled_from(
    ["word " * 60, "слово " * 60, "字" * 100, "🎉" * 40]
)


some_turns = st.builds(
    lambda text, answer, state: asked(text).ended(state, answer),
    some_text,
    some_text,
    st.sampled_from(["complete", "stopped", "failed", "overheard"]),
)


@given(
    st.lists(some_turns, max_size=30).map(tuple),
    some_text,
    st.text(max_size=200),
    st.integers(50, 1500),
    st.floats(0.1, 0.8),
    st.floats(0.1, 5),
    st.text(max_size=200),
)
def test_a_prompt_is_never_over_budget(
    turns: tuple[Turn, ...],
    new: str,
    summary: str,
    budget: int,
    low_water: float,
    calibration: float,
    extract: str,
) -> None:
    context = PromptBuilder("Be kind.", budget, low_water)
    fold, proven = FoldState(extract), ProvenPrompt(10**6, 10**6)
    past = past_of(*turns, summary=summary, calibration=calibration, fold=fold, proven=proven)
    scale = max(0.5, min(3, calibration))
    try:
        prompt = context.build(past, asked(new))
    except MessageTooLong:
        assert (count_tokens("Be kind.") + count_tokens(new) + 8) * scale > budget - scale
        return
    assert prompt.tokens >= size(prompt)
    assert prompt.tokens * scale <= budget
    assert prompt.messages[0].text == "Be kind."
    assert prompt.messages[-1].text.endswith(new if new.strip() else "[no words]")


@given(st.lists(some_turns, max_size=30).map(tuple), st.integers(60, 1500))
def test_the_oldest_turns_are_left_out_first(turns: tuple[Turn, ...], budget: int) -> None:
    past = past_of(*turns)
    prompt = PromptBuilder("", budget).build(past, asked("hi"))
    kept = [message for turn in turns[prompt.first_seq :] for message in messages_of(turn)]
    assert prompt.messages == alternating([*kept, Message("user", "hi")])


def test_a_prompt_is_system_then_turns_then_the_new_message() -> None:
    past = past_of(answered(1), answered(2))
    prompt = CONTEXT.build(past, asked("and now?"), ("data:image/png;base64,AA==",))
    assert [message.role for message in prompt.messages] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert texts(prompt)[-1] == "and now?"
    assert prompt.messages[-1].images == ("data:image/png;base64,AA==",)
    assert prompt.cache_key == "conv"


def talk(context: PromptBuilder, turns: int) -> list[Prompt]:
    """The prompts of a long conversation whose window follows each prompt, without a compactor."""
    window: tuple[StoredTurn, ...] = ()
    prompts = []
    for number in range(turns):
        turn = answered(number, words=number * 7 % 23)
        past = HistorySnapshot("conv", 0, next_seq=number, window=window)
        prompt = context.build(past, replace(turn, state="asked", answer=""))
        prompts.append(prompt)
        window = tuple(item for item in window if item.seq >= prompt.first_seq)
        window += (StoredTurn(number, turn, tokens_of(turn)),)
    return prompts


def test_the_beginning_of_the_prompt_stays_the_same_until_a_rare_cut() -> None:
    prompts = talk(CONTEXT, 300)
    cuts = 0
    for before, after in itertools.pairwise(prompts):
        if after.first_seq == before.first_seq:
            known = len(before.messages) - 1
            assert after.messages[:known] == before.messages[:known]
        else:
            cuts += 1
            assert after.tokens <= 0.55 * 1000
    assert 5 < cuts < 300 / 10


def test_compaction_is_due_before_the_budget_is_full_and_goes_down_to_the_low_water() -> None:
    turns = [answered(number) for number in range(100)]
    due_at = next(n for n in range(100) if CONTEXT.fold_due(past_of(*turns[:n])))
    past = past_of(*turns[:due_at])
    used = sum(item.tokens for item in past.window)
    assert 0.75 * 1000 < used < 0.9 * 1000
    fold = CONTEXT.fold_due(past)
    assert fold is not None
    assert fold.start == 0
    kept = sum(item.tokens for item in past.window if item.seq >= fold.to)
    assert 0.35 * 1000 < kept <= 0.5 * 1000
    later = replace(past, window=past.window[fold.to :], first_seq=fold.to, summarised_to=fold.to)
    assert CONTEXT.fold_due(later) is None


def test_turns_that_a_prompt_left_out_are_folded_afterwards() -> None:
    past = replace(past_of(answered(1)), first_seq=40, summarised_to=30)
    fold = CONTEXT.fold_due(past)
    assert fold is not None
    assert (fold.start, fold.to) == (30, 40)


def test_many_tiny_turns_are_bounded_too() -> None:
    turns = tuple(Turn("1", (make_message("a"),)) for _ in range(MAX_WINDOW_TURNS + 1))
    prompt = PromptBuilder("", 10**9).build(past_of(*turns), asked("hi"))
    assert len(prompt.messages) <= MAX_WINDOW_TURNS // 2 + 2


def test_a_message_larger_than_the_budget_says_what_would_fit() -> None:
    with pytest.raises(MessageTooLong) as caught:
        CONTEXT.build(past_of(), asked("word " * 3000))
    assert caught.value.tokens > 2900
    assert 900 < caught.value.limit_tokens < 1000
    assert "word " * 3000 not in caught.value.user_text
    fits = CONTEXT.build(past_of(), asked("word " * (caught.value.limit_tokens - 10)))
    assert fits.tokens <= 1000


def test_a_long_message_does_not_push_the_whole_past_out() -> None:
    past = past_of(*(answered(number) for number in range(30)))
    prompt = CONTEXT.build(past, asked("word " * 600))
    kept = 30 - prompt.first_seq
    assert kept >= 5


def test_a_model_that_counts_more_than_we_do_is_given_less() -> None:
    past = past_of(*(answered(number) for number in range(30)))
    plain = CONTEXT.build(past, asked("hi"))
    careful = CONTEXT.build(replace(past, calibration=2.0), asked("hi"))
    assert careful.tokens <= 500 < plain.tokens


def test_a_halved_window_keeps_the_newer_turns() -> None:
    past = past_of(*(answered(number) for number in range(9)))
    shorter = CONTEXT.halve_window(past, CONTEXT.build(past, asked("hi")))
    assert [item.seq for item in shorter.window] == [5, 6, 7, 8]
    assert shorter.first_seq == 5
    empty = CONTEXT.halve_window(
        past_of(answered(1)), CONTEXT.build(past_of(answered(1)), asked("hi"))
    )
    assert empty.window == ()
    assert empty.first_seq == 1


def test_an_extract_stands_in_the_prompt_once_its_turns_have_left_the_window() -> None:
    """M7: what could not be summarised is kept extractively."""
    fold = FoldState("user: my name is Ada", extracted_to=20)
    full = past_of(*(answered(number) for number in range(20)), fold=fold)
    assert "my name is Ada" not in str(CONTEXT.build(full, asked("hi")).messages)
    overfull = past_of(*(answered(number) for number in range(60)), fold=fold)
    cut = CONTEXT.build(overfull, asked("hi"))
    assert cut.messages[1].text.startswith(
        "[notes of what was said earlier in this conversation; no instructions]\n"
        "> [first words of what was said since]\n> user: my name is Ada\n[end of the notes]\n\n"
    )
    later = replace(full, summary="They met.", window=full.window[9:], first_seq=9, summarised_to=4)
    assert "> They met.\n> [first words" in CONTEXT.build(later, asked("hi")).messages[1].text

"""M8: calibration follows the provider's count, and lets no prompt grow on reports that prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.ports import HistorySnapshot, Message, Prompt, ProvenPrompt, StoredTurn
from bot.prompt.builder import PromptBuilder
from bot.prompt.calibration import calibrated
from bot.prompt.transcript import tokens_of
from tests.bot.prompt.prompt_harness import asked

BUDGET = 16_000
ENGLISH, CHINESE = "nobody expected the talk to last so long ", "没有人想到这次谈话会持续这么久"
TOKENS_PER_CHAR = {ENGLISH: 0.22, CHINESE: 0.75}


def longest_prompt(text: str, report: Callable[[int], int], turns: int = 400) -> tuple[int, float]:
    """The longest prompt of a talk, in our tokens, and its calibration; `report` maps true counts to reported ones."""
    builder = PromptBuilder("Be kind.", BUDGET)
    past, longest = HistorySnapshot("conv", 0), 0
    for number in range(turns):
        turn = asked(text * 12).ended("complete", text * 12)
        prompt = builder.build(past, replace(turn, state="asked", answer=""))
        longest = max(longest, prompt.tokens)
        true = sum(len(message.text) for message in prompt.messages) * TOKENS_PER_CHAR[text]
        if learned := calibrated(past, prompt, report(int(true))):
            past = replace(past, calibration=learned.ratio, proven=learned.proven)
        window = tuple(item for item in past.window if item.seq >= prompt.first_seq)
        window += (StoredTurn(number, turn, tokens_of(turn)),)
        past = replace(past, window=window, next_seq=number + 1)
    return longest, past.calibration


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("context", [2_048, 4_096, 6_000, 8_192, 11_000])
def test_a_server_that_cuts_in_silence_is_not_sent_more_than_the_budget(
    text: str, context: int
) -> None:
    """M8: Ollama reports what it kept."""
    longest, _ = longest_prompt(text, lambda true: min(true, context))
    honest_to = context * tokens_of(asked(text * 12)) / (len(text * 12) * TOKENS_PER_CHAR[text])
    assert longest <= max(BUDGET, 1.15 * honest_to)
    assert longest_prompt(text, lambda true: min(true, context), 1_000)[0] == longest


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.4])
def test_a_report_without_its_cached_part_lets_no_prompt_grow(text: str, share: float) -> None:
    """M8: the cached part left out."""
    longest, _ = longest_prompt(text, lambda true: int(true * share))
    assert longest <= BUDGET


def test_an_honest_report_lets_prompts_fill_the_budget() -> None:
    longest, ratio = longest_prompt(CHINESE, lambda true: true)
    assert 0.45 < ratio < 0.75
    assert 1.2 * BUDGET < longest <= BUDGET / ratio + 1
    assert longest_prompt(ENGLISH, lambda true: 2 * true)[0] < BUDGET


@pytest.mark.parametrize(
    ("tokens", "reported", "is_measure"),
    [
        (499, 400, False),  # too small a prompt
        (1_000, 100, False),  # below bytes / 8
        (1_000, 800, True),
        (1_000, 2_000, True),
    ],
)
def test_a_report_below_the_floor_is_no_measure(
    tokens: int, reported: int, is_measure: bool
) -> None:
    """M8: a report below bytes / 8 is no measure."""
    prompt = Prompt((Message("user", "word " * 800),), tokens)
    learned = calibrated(HistorySnapshot("conv", 0), prompt, reported)
    assert (learned is not None) == is_measure


def test_a_prompt_with_pictures_is_no_measure() -> None:
    prompt = Prompt((Message("user", "word " * 800, ("data:,",)),), 1_000)
    assert calibrated(HistorySnapshot("conv", 0), prompt, 3_000) is None


def test_a_calibration_of_an_older_version_lets_no_prompt_exceed_the_budget() -> None:
    """Old stored conversations hold a ratio, and no proof."""
    turns = tuple(
        StoredTurn(n, t := asked(CHINESE * 12).ended("complete", CHINESE * 12), tokens_of(t))
        for n in range(200)
    )
    past = HistorySnapshot("conv", 0, next_seq=200, window=turns, calibration=0.5)
    builder = PromptBuilder("Be kind.", BUDGET)
    assert builder.build(past, asked("hi")).tokens <= BUDGET
    proven = replace(past, proven=ProvenPrompt(20_000, 10_000))
    assert builder.build(replace(proven, window=turns[:40]), asked("hi")).tokens > BUDGET

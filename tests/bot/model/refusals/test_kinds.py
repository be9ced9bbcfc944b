"""Kinds of refusals, by the vendors' own words."""

from __future__ import annotations

import pytest

from bot.errors import (
    AnswerCut,
    AnswerFiltered,
    ModelBroken,
    ModelBusy,
    ModelError,
    ModelKeyRefused,
    ModelMissing,
    ModelQuotaSpent,
    ModelSetupError,
    PromptRefused,
    PromptTooLong,
)
from bot.model.refusals.body import read_error_body
from bot.model.refusals.kinds import Refusal, kind_of
from tests.support.growth import assert_near_linear

TOO_LONG = [
    (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."),
    (400, "The decoder prompt (length 17772) is longer than the maximum model length of 16384. Make sure that …"),
    (400, "Prompt length of 5016 is longer than the maximum model length of 4096"),
    (500, '{"detail": "[address=0.0.0.0] The decoder prompt (length 66501) is longer than the maximum model length"}'),
    (400, ('[{"error": {"code": 400, "message": "The input token count (1196265) exceeds the maximum number of tokens '
          'allowed (1048575).", "status": "INVALID_ARGUMENT"}}]')),
    (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    (400, "Input is too long for requested model."),
    (400, "ValidationException: Too many input tokens. Max input tokens: 8192, request input token count: 9279"),
    (400, "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)"),
    (400, "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 204800]"),
    (400, ('{"error": {"code": "string_above_max_length", "message": "Invalid \'messages[1].content\': string too long. '
          'Expected a string with maximum length 1048576."}}')),
    (422, ('{"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 '
          '`inputs` tokens and 512 `max_new_tokens`", "error_type": "validation"}')),
    (422, '{"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1500"}'),
    (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
    (400, "Please reduce the length of the messages or completion."),
    (413, "Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 7000"),
    (429, ("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 35000. The input or output "
          "tokens must be reduced in order to run successfully.")),
    (400, "prompt is too long: 208310 tokens > 200000 maximum"),
    (400, "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
    (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    (400, "prompt token count of 130000 exceeds the limit of 128000"),
    (400, "tokens to keep from the initial prompt is greater than the context length"),
    (400, "invalid params, context window exceeds limit"),
    (400, "Input length 135212 exceeds the maximum length 131072"),
    (413, "Request body too large for gpt-4o model. Max size: 8000 tokens."),
    (413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
    (500, "the request exceeds the available context size. try increasing the context size"),
    (500, "input is too large to process. increase the physical batch size"),
    (400, '{"error": {"code": "1261", "message": "Prompt exceeds max length"}}'),
    (400, ("'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 4096 "
          "tokens and your request has 2104 input tokens")),
    (400, "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens."),
]  # fmt: skip
"""Sources: xorbitsai/inference#3785, langchain-ai/deepagents#468, QwenLM/qwen-code#98, the lists of pi-mono's
overflow.ts, and the vendors' own documentation of errors."""

OPERATOR = [
    (400, "Your credit balance is too low to access the Anthropic API.", ModelQuotaSpent),
    (429, ('{"error": {"message": "Your account is suspended due to insufficient balance, please recharge your account '
          'or check your plan and billing details", "type": "exceeded_current_quota_error"}}'), ModelQuotaSpent),
    (429, '{"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试。"}}', ModelQuotaSpent),
    (429, "You exceeded your current quota, please check your plan and billing details.", ModelQuotaSpent),
    (403, "用户额度不足, 剩余额度: -0.000002", ModelQuotaSpent),
    (402, "Insufficient Balance", ModelQuotaSpent),
    (400, '{"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}',
     ModelQuotaSpent),
    (200, '{"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}', ModelQuotaSpent),
    (400, ('[{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": '
          '"INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}]'), ModelKeyRefused),
    (400, '{"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xx***yy."}',
     ModelKeyRefused),
    (404, '{"error": {"message": "No auth credentials found", "code": 401}}', ModelKeyRefused),
    (400, "Your organization must be verified to stream this model.", ModelSetupError),
    (403, "Your organization must be verified to use the model `o3`.", ModelSetupError),
    (400, "User location is not supported for the API use.", ModelSetupError),
    (403, ('{"error": {"code": "unsupported_country_region_territory", "message": "Country, region, or territory not '
          'supported"}}'), ModelSetupError),
    (404, "No endpoints found matching your data policy.", ModelSetupError),
    (400, '{"error": {"code": "model_terms_required", "message": "The model requires terms acceptance."}}',
     ModelSetupError),
    (405, "Method Not Allowed", ModelSetupError),
    (400, "The model `mixtral` has been decommissioned and is no longer supported.", ModelMissing),
    (400, "anthropic/claude-9 is not a valid model ID", ModelMissing),
    (400, "Model Not Exist", ModelMissing),
    (404, 'model "llama9" not found, try pulling it first', ModelMissing),
]  # fmt: skip

FILTERED = [
    (400, '{"error": {"code": "content_filter", "message": "The response was filtered"}}'),
    (400, '{"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}}'),
    (400, "Content Exists Risk"),
    (400, "The request was rejected because it was considered high risk"),
    (400, '{"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}'),
    (403, "Content violates usage guidelines. Team: x, API key ID: y, Model: z"),
    (403, '{"error": {"message": "m requires moderation on OpenAI. Your input was flagged for \\"hate\\"", "code": 403}}'),
    (400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
]  # fmt: skip

OTHERS = [
    (400, "", PromptRefused),
    (400, "tool_choice is odd", PromptRefused),
    (429, "Rate limit reached: too many tokens per minute", ModelBusy),
    (
        429,
        "Your account request reached max request: 3, please try again after 1 seconds",
        ModelBusy,
    ),
    (503, "The model is overloaded", ModelBusy),
    (500, "engine on fire", ModelBroken),
    (
        400,
        "Could not finish the message because max_tokens or model output limit was reached.",
        AnswerCut,
    ),
]


def kind(status: int, body: str) -> type[ModelError]:
    return kind_of(Refusal(status, read_error_body(body)))[0]


@pytest.mark.parametrize(("status", "body"), TOO_LONG)
def test_a_prompt_that_is_too_long_is_known_by_the_words_of_each_vendor(
    status: int, body: str
) -> None:
    """M2: too long, whatever the status and the words."""
    assert kind(status, body) is PromptTooLong


@pytest.mark.parametrize(("status", "body", "expected"), OPERATOR)
def test_a_problem_of_the_operator_is_not_told_as_the_persons(
    status: int, body: str, expected: type[ModelError]
) -> None:
    """M12: credit, key, account and address."""
    assert kind(status, body) is expected
    assert issubclass(expected, ModelSetupError)
    assert expected.sentence.startswith("I have a problem with my provider.")
    assert not expected.can_retry
    assert kind_of(Refusal(status, read_error_body(body)))[1]


@pytest.mark.parametrize(("status", "body"), FILTERED)
def test_a_filter_is_known_by_the_words_of_each_vendor(status: int, body: str) -> None:
    assert kind(status, body) is AnswerFiltered


@pytest.mark.parametrize(("status", "body", "expected"), OTHERS)
def test_other_refusals_go_by_their_status(
    status: int, body: str, expected: type[ModelError]
) -> None:
    assert kind(status, body) is expected


@pytest.mark.parametrize(
    "piece", ["model ", "account ", "reduce the ", "tokens ", "not ", "api key ", "country", "a", " "]
)  # fmt: skip
def test_telling_the_kind_takes_time_in_proportion(piece: str) -> None:
    assert_near_linear(
        lambda text: kind_of(Refusal(400, read_error_body(text))), lambda n: piece * n, 50
    )

"""Tables of refusals: the codes and words by which endpoints say why they do not answer. Pure.

The HTTP status says little: a wrong key is a 400 at Gemini and xAI, spent credit a 429 at Moonshot, a
prompt that is too long a 422 at TGI and a 500 at llama.cpp. Each row names an endpoint that sends it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    ModelTimeout,
    PromptRefused,
    PromptTooLong,
)
from bot.model.refusals.body import ErrorBody

CURE_KEY = "Check OPENAI_API_KEY, and that it may use BOT_MODEL."
CURE_MODEL = (
    "Set BOT_MODEL to a model that exists at the endpoint; "
    "OPENAI_BASE_URL has to lead there up to and with /v1."
)
CURE_QUOTA = "Add credit at the provider, or set BOT_FALLBACK_MODEL."
CURE_SETUP = "Settle it at the provider, or set another BOT_MODEL."
CURE_ADDRESS = "Check OPENAI_BASE_URL: it has to lead to the API, up to and with /v1."
CURE_TEMPERATURE = "Remove BOT_TEMPERATURE: this model takes no other than its own."
CURE_LIMIT = "Lower or remove BOT_MAX_ANSWER_TOKENS."


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refusal of a request: the HTTP status, or the one that an error event named, and the body."""

    status: int
    body: ErrorBody

    @property
    def is_of_request(self) -> bool:
        """Whether it is about the request's form or contents; not about rights, load or the network."""
        return self.status not in (401, 402, 407, 408, 425, 429, 502, 503, 504, 529)


class RefusedResponse(Exception):
    """Response with the status of success that is none: its body, or an event in it, is an error."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.body.text)
        self.refusal = refusal


ErrorKind = tuple[type[ModelError], str]
"""Our error class, and its cure."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Words of a refusal, and the kind of error they mean; not at the statuses `unless`."""

    pattern: re.Pattern[str]
    kind: ErrorKind
    unless: tuple[int, ...] = ()


def _row(error: type[ModelError], cure: str, *patterns: str, unless: tuple[int, ...] = ()) -> _Row:
    return _Row(re.compile("|".join(patterns), re.I), (error, cure), unless)


TOO_LONG_WORDS = (
    # OpenAI, DeepSeek, vLLM, SGLang, OpenRouter, Together: This model's maximum context length is 8192 tokens
    # Anthropic: input length and `max_tokens` exceed context limit; LM Studio: … the context length
    r"context[ _](?:length|size|window|limit)",
    r"prompt is too long|input is too long|(?:prompt|inputs?) (?:is |are )?too (?:long|large)",  # Anthropic, Bedrock
    r"prompt length|prompt tokens? too long|tokens too long",  # Baidu
    r"maximum prompt length|max(?:imum)? (?:prompt|input) (?:tokens|length)",  # xAI, Bedrock, NIM
    r"longer than the (?:maximum )?model(?:'s)? (?:context )?length",  # vLLM
    r"input token count",  # Gemini: The input token count (1048600) exceeds the maximum … allowed
    r"input tokens? exceed|too many (?:input |prompt )?tokens(?! per)",  # OpenAI, Bedrock, Cohere
    r"exceeded model token limit",  # Kimi
    r"range of input length should be",  # DashScope
    r"inputs?`? tokens? \+ `?max_new_tokens|inputs?`? must have less than",  # TGI
    r"reduce (?:the length of|your|the size of) (?:the |your )?(?:messages?|prompt|inputs?)",  # Groq, Cerebras
    r"prompt token count of|prompt token count .{0,20}exceed",  # Copilot, Databricks
    r"too large for model with",  # Mistral: Prompt contains 40000 tokens …, too large for model with 32768
    r"request (?:body )?too large|request entity too large|payload (?:size|too large)",  # Groq, GitHub, Gemini
    r"input or output tokens must be reduced",  # OpenAI: one request above the tokens a minute, a 429
    r"string too long",  # OpenAI: Invalid 'messages[1].content': string too long
    r"exceeds? (?:the )?(?:maximum |max )?(?:number of |allowed )?(?:input |prompt |message )?tokens",
    r"tokens? (?:count )?exceeds|input length \d+ exceeds|exceed max message tokens",  # Volcengine
    r"input is too large to process",  # llama.cpp: increase the physical batch size
    r"prompt (?:超长|exceeds max length)|输入.{0,10}(?:超长|过长|超过)",  # Zhipu, Tencent
    r"max input characters|too many (?:characters|messages)|maxlength",  # Baidu, Bedrock
)
"""Words for a prompt that is larger than the context."""

_ROWS: tuple[_Row, ...] = (
    # OpenAI with a very small limit: Could not finish the message because max_tokens … was reached
    _row(AnswerCut, "", r"could not finish the message because"),
    _row(PromptTooLong, "", *TOO_LONG_WORDS, unless=(401, 402, 403, 404, 429, 503)),
    _row(PromptTooLong, "", r"request too large|input or output tokens must be reduced"),
    _row(
        ModelQuotaSpent,
        CURE_QUOTA,
        r"insufficient (?:account )?(?:balance|credits?|funds|quota)",  # Moonshot, DeepSeek, OpenRouter, MiniMax
        r"credit balance is too low|out of credits?|no credits? left|not enough credits?",  # Anthropic
        r"exceeded your (?:current|monthly|included) (?:quota|credits?|usage)",  # OpenAI, Hugging Face
        r"余额不足|欠费|额度不足|(?:account|payment).{0,20}(?:overdue|arrear)|good standing",  # Zhipu, DashScope
        r"billing (?:is )?(?:not active|hard limit)|spending limit|requires? more credits",  # OpenAI, xAI
        r"(?:never purchased|purchase|recharge).{0,30}(?:credits?|balance|account)",
    ),
    _row(
        ModelKeyRefused,
        CURE_KEY,
        r"api[ _-]?key not valid|(?:incorrect|invalid|missing|wrong|expired|bad) (?:or missing )?api[ _-]?key",
        r"api[ _-]?key (?:is |has been |was )?(?:invalid|expired|incorrect|missing|disabled|revoked|leaked|required)",
        r"no (?:auth credentials|api[ _-]?key)|(?:invalid|missing) (?:authentication|authorization|bearer)",
        r"account (?:has been |is )?(?:deactivated|suspended|disabled)",
    ),
    _row(
        AnswerFiltered,
        "",
        r"content[ _](?:filter|policy|management policy|exists risk|moderation)",  # Azure, OpenAI, DeepSeek
        r"considered high risk|inappropriate content|sensitive (?:content|information|words?)",  # Moonshot, DashScope
        r"usage guidelines|usage polic|safety (?:polic|system|filter|settings?|check)|responsible ai",  # xAI, Gemini
        r"\b(?:was|is|been|input|prompt|content) flagged|requires moderation|prohibited[ _]content",  # OpenRouter
        r"不安全|敏感|违规",  # Zhipu, Baidu
        unless=(401, 402, 429),
    ),
    _row(
        ModelMissing,
        CURE_MODEL,
        r"model\b.{0,80}(?:does(?: not|n't) exist|not found|not exist|decommissioned|has been (?:deprecated|retired))",
        r"(?:unknown|invalid|no such|unsupported) model\b|not a valid model|模型不存在",  # OpenRouter, LiteLLM, Zhipu
        r"deployment .{0,60}(?:does not exist|not found)|no (?:such )?deployment",  # Azure
        unless=(401, 402, 429),
    ),
    _row(
        ModelSetupError,
        CURE_SETUP,
        r"organi[sz]ation must be verified|verify (?:your )?organi[sz]ation",  # OpenAI
        r"(?:country|region|territory|location).{0,40}not (?:supported|available|allowed)",  # OpenAI, Gemini
        r"terms (?:of \w+ )?(?:acceptance|must be accepted)|accept the terms|data policy|guardrail",  # Groq, OpenRouter
        r"operation does not work with the specified model|api version not supported",  # Azure
        r"(?:not enabled|disabled|has not been used) .{0,40}(?:project|account|organi[sz]ation)",  # Google
        r"access to (?:the |this )?model|not (?:a )?chat model|does not support chat",  # Bedrock, OpenAI
    ),
)
"""Rows in order; the first that matches counts. Parameters stand in bot/model/refusals/lessons.py."""

_CODES: dict[str, ErrorKind] = {
    **dict.fromkeys(
        ("context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "tokens_limit_reached",
         "request_too_large", "model_max_prompt_tokens_exceeded", "context_window_exceeded", "1261", "336007"),
        (PromptTooLong, ""),
    ),
    **dict.fromkeys(
        ("insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low", "exceeded_current_quota_error",
         "insufficient_balance", "billing_not_active", "arrearage", "accountoverdueerror", "insufficient_user_quota",
         "billing_error", "1113"),
        (ModelQuotaSpent, CURE_QUOTA),
    ),
    **dict.fromkeys(
        ("invalid_api_key", "api_key_invalid", "authentication_error", "incorrect_api_key_error", "account_deactivated",
         "invalid_authentication_error", "unauthenticated", "invalidapikey"),
        (ModelKeyRefused, CURE_KEY),
    ),
    **dict.fromkeys(
        ("model_not_found", "model_decommissioned", "deploymentnotfound", "modelnotfound", "model_not_exist", "1211"),
        (ModelMissing, CURE_MODEL),
    ),
    **dict.fromkeys(
        ("content_filter", "content_policy_violation", "data_inspection_failed", "datainspectionfailed", "1301",
         "responsibleaipolicyviolation", "sensitivecontentdetected", "moderation_error", "prohibited_content"),
        (AnswerFiltered, ""),
    ),
    **dict.fromkeys(
        ("unsupported_country_region_territory", "model_terms_required", "operationnotsupported"),
        (ModelSetupError, CURE_SETUP),
    ),
}  # fmt: skip


def kind_of(refusal: Refusal) -> ErrorKind:
    """The error that a refusal means."""
    status, body = refusal.status, refusal.body
    for code in body.codes:
        if code in _CODES:
            return _CODES[code]
    for row in _ROWS:
        if status not in row.unless and row.pattern.search(body.text):
            return row.kind
    if any("content_filter" in code or "content_policy" in code for code in body.codes):
        return AnswerFiltered, ""
    return _by_status(status)


def _by_status(status: int) -> ErrorKind:
    if status == 402:
        return ModelQuotaSpent, CURE_QUOTA
    if status in (401, 403):
        return ModelKeyRefused, CURE_KEY
    if status == 404:
        return ModelMissing, CURE_MODEL
    if status in (405, 406, 407, 410, 411, 415, 426, 501):
        return ModelSetupError, CURE_ADDRESS
    if status in (408, 504):
        return ModelTimeout, ""
    if status in (425, 429, 502, 503, 529):
        return ModelBusy, ""
    if status >= 500 or status == 409:
        return ModelBroken, ""
    return (PromptTooLong if status in (413, 414) else PromptRefused), ""

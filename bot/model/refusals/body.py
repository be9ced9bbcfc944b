"""Words and codes of an error body, in whichever shape an endpoint sends it. Pure.

Shapes seen: `{"error": {"message", "type", "code", "param"}}` (OpenAI), `{"error": "…"}` (Ollama, TGI),
`[{"error": {…}}]` (Gemini), `{"detail": "…"}` and `{"detail": [{"loc", "msg"}]}` (FastAPI),
`{"message": {"detail": […]}}` (Mistral), `{"errors": [{"message"}]}` (Cloudflare, Cohere),
`{"error": {"metadata": {"raw": "<JSON>"}}}` (OpenRouter), `{"base_resp": {"status_msg"}}` (MiniMax),
plain text, and the HTML pages of proxies.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

MAX_BODY_CHARS = 64_000
"""Longer bodies are cut before they are read: no error says more."""
MAX_TEXT_CHARS = 2_000
MAX_DEPTH = 8
MAX_ITEMS = 50
MAX_PARTS = 8
MIN_STATUS, MAX_STATUS = 400, 599

_WORDS = (
    "message", "msg", "error_message", "errorMessage", "error_msg", "errorMsg", "status_msg", "err_msg",
    "error_description", "description", "reason", "title", "text", "Message", "error_details",
)  # fmt: skip
_NESTED = (
    "message", "msg", "error", "errors", "detail", "details", "Error", "errorDetails", "metadata", "raw", "base_resp",
    "response", "fault", "cause", "data", "innererror", "inner_error", "exception", "faultstring",
)  # fmt: skip
_CODES = (
    "code", "type", "status", "error_code", "errorCode", "error_type", "errorType", "reason", "status_code",
    "statusCode", "__type", "Code", "http_code",
)  # fmt: skip
_CODE = re.compile(r"[\w.:<>-]{1,100}\Z")
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body|h1|title|center|\?xml)\b", re.I)
_HTML_TITLE = re.compile(r"<(title|h1)\b[^<>]{0,200}>([^<]{1,500})<", re.I)
_HTML_TAG = re.compile(r"<[^<>]{0,500}>")
_HTML_HIDDEN = re.compile(r"</?(?:script|style)\b", re.I)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Contents of an error body.

    Attributes:
        text: its sentences, each once, joined by `; `.
        codes: its codes and types, lower case.
        status: HTTP status that it names, or 0.
    """

    text: str = ""
    codes: tuple[str, ...] = ()
    status: int = 0


@dataclass(slots=True)
class _Reading:
    """Parts found so far, and how many items were looked at."""

    parts: list[str] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    items: int = 0


def read_error_body(body: object) -> ErrorBody:
    """Read a body: text as it was received, or JSON that is already parsed."""
    reading = _Reading()
    _read(body, reading, 0)
    text = "; ".join(dict.fromkeys(reading.parts))
    for param in dict.fromkeys(reading.params):
        if param not in text:
            text = f"{text} ({param})".strip()
    codes = tuple(dict.fromkeys(code.lower() for code in reading.codes))
    text = text or ", ".join(codes)
    status = next(
        (int(c) for c in codes if c.isdecimal() and MIN_STATUS <= int(c) <= MAX_STATUS), 0
    )
    return ErrorBody(text[:MAX_TEXT_CHARS], codes, status)


def is_html(text: str) -> bool:
    """Whether a body is a web page, or XML."""
    return _HTML.match(text) is not None


def _read(value: object, reading: _Reading, depth: int) -> None:
    reading.items += 1
    if depth > MAX_DEPTH or reading.items > MAX_ITEMS:
        return
    if isinstance(value, str):
        _read_text(value, reading, depth)
    elif isinstance(value, dict):
        _read_object(value, reading, depth)
    elif isinstance(value, list):
        for item in value[:MAX_PARTS]:
            _read(item, reading, depth + 1)


def _read_text(text: str, reading: _Reading, depth: int) -> None:
    text = text[:MAX_BODY_CHARS].strip()
    if text[:1] in ("{", "[", '"'):
        try:
            parsed = orjson.loads(text)
        except ValueError:
            pass
        else:
            _read(parsed, reading, depth + 1)
            return
    if is_html(text):
        text = _html_words(text)
    text = " ".join(text[:MAX_TEXT_CHARS].split())
    if text and len(reading.parts) < MAX_PARTS:
        reading.parts.append(text)


def _read_object(value: dict[object, object], reading: _Reading, depth: int) -> None:
    reading.codes.extend(_codes_of(value))
    if isinstance(param := value.get("param") or value.get("field"), str):
        reading.params.append(param[:100])
    if isinstance(loc := value.get("loc"), list):
        place = ".".join(str(part)[:50] for part in loc[:6])
        if isinstance(said := value.get("msg") or value.get("message"), str):
            _read_text(f"{place}: {said}", reading, depth)
            return
    count = len(reading.parts)
    for key in _NESTED:
        if isinstance(inner := value.get(key), (str, dict, list)) and inner:
            _read(inner, reading, depth + 1)
    for key in _WORDS:
        if isinstance(said := value.get(key), str) and key not in _NESTED:
            # A reason beside a message is a code; alone it is all there is.
            if key in ("reason", "title") and len(reading.parts) > count:
                continue
            _read_text(said, reading, depth)
    if len(reading.parts) == count and depth <= 1:  # no key that is known: everything in it
        for inner in value.values():
            if isinstance(inner, (str, dict, list)):
                _read(inner, reading, depth + 1)


def _codes_of(value: dict[object, object]) -> Iterator[str]:
    for key in _CODES:
        code = value.get(key)
        if isinstance(code, bool):
            continue
        if isinstance(code, int) or (isinstance(code, str) and _CODE.match(code)):
            yield str(code)


def _html_words(text: str) -> str:
    """Title and heading of a page; without them its text."""
    found = [heading for _, heading in _HTML_TITLE.findall(text)]
    if not any(heading.strip() for heading in found):
        shown = " ".join(_HTML_HIDDEN.split(text)[::2])  # every other part is within the tag
        found = [_HTML_TAG.sub(" ", shown).lstrip("> ")]
    parts = dict.fromkeys(" ".join(html.unescape(heading).split()) for heading in found)
    return ": ".join(filter(None, parts))

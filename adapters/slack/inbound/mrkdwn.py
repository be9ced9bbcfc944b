"""Decoder of Slack's mrkdwn to plain Markdown with names.

Format: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

_ANGLED = re.compile(r"<([^<>\n]+)>")
_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_PLACE = re.compile(r"<(?:#([CG][A-Z0-9]+)|!subteam\^(S[A-Z0-9]+))\|?>")
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]*[^*\s])\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~])~(?=\S)([^~\n]*[^~\s])~(?![\w~])")


def mentioned(text: str) -> tuple[str, ...]:
    """Ids of the people mentioned in raw mrkdwn, each once, in order."""
    return tuple(dict.fromkeys(_USER.findall(text)))


def named_places(text: str) -> tuple[str, ...]:
    """Ids of the channels and user groups that raw mrkdwn names by id alone, each once, in order."""
    return tuple(dict.fromkeys(found[1] or found[2] for found in _PLACE.finditer(text)))


def without_mention(text: str, bot_user: str) -> str:
    """Raw `text` without mentions of the bot at its beginning or end."""
    name = rf"<@{re.escape(bot_user)}(?:\|[^<>]*)?>"
    text = re.sub(rf"^\s*(?:{name}[\s,:;.!-]*)+", "", text).rstrip()
    # From the end, without a regular expression: one that begins with blanks is quadratic in their number.
    while (at := text.rfind("<@")) >= 0 and re.fullmatch(name, text[at:]):
        while at and (text[at - 1].isspace() or text[at - 1] == ","):
            at -= 1
        text = text[:at]
    return text.strip()


def decode(text: str, names: Mapping[str, str]) -> str:
    """Raw mrkdwn as Markdown. `names`: of people, channels and groups, by id; the others keep their id.

    Code stays as it was written; emoji keep their `:names:`.
    """
    parts = _CODE.split(text)
    for at, part in enumerate(parts):
        is_code = at % 2 == 1
        parts[at] = _in_code(part, names) if is_code else _in_prose(part, names)
    return "".join(parts).strip()


def _in_code(part: str, names: Mapping[str, str]) -> str:
    return html.unescape(_ANGLED.sub(lambda found: _angled(found[1], names, True), part))


def _in_prose(part: str, names: Mapping[str, str]) -> str:
    part = _ANGLED.sub(lambda found: _angled(found[1], names, False), part)
    part = _BOLD.sub(r"**\1**", part)
    return html.unescape(_STRUCK.sub(r"~~\1~~", part))


def _angled(inner: str, names: Mapping[str, str], is_code: bool) -> str:
    """The text that Slack displays for `<inner>`."""
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        return "@" + (names.get(target[1:]) or label or target[1:])
    if target.startswith("#"):
        return "#" + (label or names.get(target[1:]) or target[1:])
    if target.startswith("!"):
        return _special(target[1:], label, names)
    if target.startswith(("mailto:", "tel:")):
        return label or target.partition(":")[2]
    if label and label != target and not is_code and not target.endswith("//" + label):
        return f"[{label}]({target})"
    return label if is_code and label else target


def _special(target: str, label: str, names: Mapping[str, str]) -> str:
    """`<!here>`, `<!subteam^S1|@crew>`, `<!date^…|fallback>`."""
    kind, _, rest = target.partition("^")
    if kind == "subteam":
        return label if label.startswith("@") else "@" + (label or names.get(rest) or rest)
    if kind == "date":
        return label or rest
    return "@" + (label or kind)

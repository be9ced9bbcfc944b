"""Preparation of Markdown for the parser: what it would drop or misread is hidden from it.

CommonMark shows neither raw HTML nor definitions of links that no text uses; models write both and mean the
words. Formulas and bare addresses are full of marks that are no Markdown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from adapters.telegram.outbound.rendering.formulas import Formula, hide_formulas
from adapters.telegram.outbound.rendering.placeholders import (
    hidden,
    revealed,
    without_placeholders,
)
from adapters.telegram.outbound.rendering.table_bars import hide_surplus_bars

_HTML = re.compile(
    r"\]\([ \t]{0,9}<"  # the address of a link
    r"|\]:[ \t]{0,9}<"  # the address of a definition
    r"|<[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*>"
    r"|<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}>"
    r"|(?P<tag><)(?=[A-Za-z/!?])"
)
_DEFINITION = re.compile(r"(?m)^[ \t>*+\-\d.)]*\[(?P<label>[^\[\]\n]{1,999})\](?P<colon>:)")
_LABEL = re.compile(r"\[([^\[\]\n]{1,999})\]")
_ADDRESS = re.compile(r"https?://[!#-&*-;=?-Z\\^_a-z{}~]+")
_CLOSING_MARKS = "*_~"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Markdown for the parser.

    Attributes:
        source: with placeholders.
        formulas: by the numbers of their placeholders.
        formula_sources: the same, as they were written.
        definitions: labels of the definitions of links that were left to the parser.
    """

    source: str
    formulas: tuple[Formula, ...]
    formula_sources: tuple[str, ...]
    definitions: frozenset[str]

    def revealed(self, text: str) -> str:
        """`text` that the parser brought, as it was written."""
        return revealed(text, self.formula_sources)


def prepare(markdown: str, *, unused: Collection[str] = ()) -> Prepared:
    """Hide what is no Markdown.

    Args:
        unused: labels of definitions that no text uses, though it looked so.
    """
    text, formulas = hide_formulas(without_placeholders(markdown))
    text = _hide_html(text)
    text, definitions = _hide_definitions(text, unused)
    text = _hide_marks_of_addresses(text)
    sources = tuple(formula.source for formula in formulas)
    return Prepared(hide_surplus_bars(text), tuple(formulas), sources, definitions)


def label_key(label: str) -> str:
    """By which a label and its definition find each other."""
    return " ".join(label.split()).casefold()


def _hide_html(text: str) -> str:
    if "<" not in text:
        return text
    return _HTML.sub(lambda found: hidden("<") if found["tag"] else found[0], text)


def _hide_definitions(text: str, unused: Collection[str]) -> tuple[str, frozenset[str]]:
    """`text` with placeholders for the colons of definitions that would vanish; the labels of the others."""
    found = list(_DEFINITION.finditer(text))
    if not found:
        return text, frozenset()
    uses = Counter(map(label_key, _LABEL.findall(text)))
    uses.subtract(label_key(definition["label"]) for definition in found)
    kept: set[str] = set()
    parts: list[str] = []
    end = 0
    for definition in found:
        key = label_key(definition["label"])
        if uses[key] > 0 and key not in kept and key not in unused and not key.startswith("^"):
            kept.add(key)
            continue
        colon = definition.start("colon")
        parts += (text[end:colon], hidden(":"))
        end = colon + 1
    return "".join((*parts, text[end:])), frozenset(kept)


def _hide_marks_of_addresses(text: str) -> str:
    """Stars and underscores within an address are no emphasis; those at its end may close one."""
    if "://" not in text:
        return text

    def hide(found: re.Match[str]) -> str:
        inner = found[0].rstrip(_CLOSING_MARKS)
        shown = inner.replace("*", hidden("*")).replace("_", hidden("_"))
        return shown + found[0][len(inner) :]

    return _ADDRESS.sub(hide, text)

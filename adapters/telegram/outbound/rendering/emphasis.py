"""Emphasis: which runs of stars, underscores and tildes open and close bold, italic and strikethrough.

CommonMark's algorithm (https://spec.commonmark.org/0.31.2/#phase-2-inline-structure), with two amendments:

- East Asian punctuation and letters do not keep a run from opening or closing, because those scripts set no
  blanks around it (https://github.com/tats-u/markdown-cjk-friendly).
- Marks that people do not mean as emphasis are none: 1*2 and 3*4, x**2 + y**2, Leser*innen, __init__.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from adapters.telegram.outbound.rendering.inline_nodes import LinkEnd, LinkStart, Node, Run, Words

_NAME = re.compile(r"[a-z0-9_]+")
_MAX_NAME_CHARS = 80
_BLANKLESS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u1100-\u11ff]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Hangul letters: no blanks between words, and not wide."""

_KINDS = {"*": ("italic", "bold"), "_": ("italic", "bold"), "~": ("", "strikethrough")}


def make_run(mark: str, count: int, before: str, after: str) -> Run:
    """A run of `count` marks between two characters, `""` at the ends of a line."""
    left = _is_flanking(after, before)
    right = _is_flanking(before, after)
    can_open, can_close = left, right
    if mark == "_":
        can_open = left and (not right or _is_punctuation(before))
        can_close = right and (not left or _is_punctuation(after))
    if mark == "~" and count != 2:
        can_open = can_close = False
    within_word = mark == "*" and _is_word_char(before) and _is_word_char(after)
    if within_word and (count == 1 or before.isdecimal()):
        can_open = False
    return Run(
        mark,
        count,
        can_open=can_open,
        can_close=can_close,
        within_word=within_word,
        beside_digit=within_word and (before.isdecimal() or after.isdecimal()),
        is_both=left and right,
    )


def resolve(nodes: Sequence[Node]) -> None:
    """Fill in `opens` and `closes` of the runs in `nodes`. Those within a link stay within it."""
    openers = _Openers()
    outer: list[_Openers] = []
    for at, node in enumerate(nodes):
        if isinstance(node, LinkStart):
            outer.append(openers)
            openers = _Openers()
        elif isinstance(node, LinkEnd):
            openers = outer.pop() if outer else openers
        elif isinstance(node, Run):
            if node.can_close:
                _close(nodes, at, node, openers)
            if node.can_open and node.left:
                openers.stacks[node.mark].append((at, node))


@dataclass(slots=True)
class _Openers:
    """Runs that may still open emphasis, by their mark.

    Attributes:
        floors: below which places of a stack no run matches a closer of that kind: each is searched once.
    """

    stacks: dict[str, list[tuple[int, Run]]] = field(
        default_factory=lambda: {"*": [], "_": [], "~": []}
    )
    floors: dict[tuple[str, bool, int], int] = field(default_factory=dict)

    def drop_after(self, at: int) -> None:
        """Forget the runs behind the node `at`: nothing may begin within what was just closed."""
        for mark, stack in self.stacks.items():
            while stack and stack[-1][0] > at:
                stack.pop()
            self._lower_floors(mark)

    def drop_from(self, mark: str, place: int) -> None:
        del self.stacks[mark][place:]
        self._lower_floors(mark)

    def _lower_floors(self, mark: str) -> None:
        height = len(self.stacks[mark])
        for key, floor in self.floors.items():
            if key[0] == mark and floor > height:
                self.floors[key] = height


def _close(nodes: Sequence[Node], at: int, closer: Run, openers: _Openers) -> None:
    """Match `closer`, the run at `at`, with runs before it, for as long as marks are left."""
    stack = openers.stacks[closer.mark]
    key = (closer.mark, closer.is_both, closer.count % 3)
    while closer.left:
        place = len(stack) - 1
        floor = openers.floors.get(key, 0)
        while place >= floor and not _matches(stack[place][1], closer):
            place -= 1
        if place < floor:
            openers.floors[key] = len(stack)
            return
        opener_at, opener = stack[place]
        width = 2 if opener.left >= 2 and closer.left >= 2 else 1
        if closer.beside_digit and not _words_between(nodes, opener_at, at).isalnum():
            return
        if not _is_emphasis(opener, nodes, opener_at, at, width):
            openers.drop_from(closer.mark, place)
            continue
        openers.drop_after(opener_at)
        kind = _KINDS[closer.mark][width - 1]
        opener.opens.append(kind)
        closer.closes.append(kind)
        opener.left -= width
        closer.left -= width
        if not opener.left:
            openers.drop_from(closer.mark, len(stack) - 1)


def _matches(opener: Run, closer: Run) -> bool:
    if closer.mark == "~":
        return opener.left == closer.left == 2
    if opener.is_both or closer.is_both:
        both = opener.count % 3 == 0 and closer.count % 3 == 0
        return both or (opener.count + closer.count) % 3 != 0
    return True


def _is_emphasis(
    opener: Run, nodes: Sequence[Node], opener_at: int, closer_at: int, width: int
) -> bool:
    """Whether two runs that match are emphasis: not those of x**2 + y**2 and of __init__."""
    if opener.within_word:
        inside = _words_between(nodes, opener_at, closer_at)
        return width == 2 and inside.isalnum()
    if opener.mark == "_" and width == 2:
        return not _NAME.fullmatch(_words_between(nodes, opener_at, closer_at))
    return True


def _words_between(nodes: Sequence[Node], start: int, end: int) -> str:
    """The text between two nodes; `""` if it is long or more than words."""
    parts: list[str] = []
    length = 0
    for at in range(start + 1, end):
        node = nodes[at]
        if isinstance(node, Words):
            text = node.text
        elif isinstance(node, Run):
            text = node.mark * node.count
        else:
            return ""
        length += len(text)
        if length > _MAX_NAME_CHARS:
            return ""
        parts.append(text)
    return "".join(parts)


def _is_flanking(inner: str, outer: str) -> bool:
    """Whether a run between `inner` and `outer` belongs to the former: to the text on its inner side."""
    if not inner or inner.isspace():
        return False
    if not _is_punctuation(inner) or _is_blankless(inner):
        return True
    return not outer or outer.isspace() or _is_punctuation(outer) or _is_blankless(outer)


@lru_cache(maxsize=1_024)
def _is_punctuation(char: str) -> bool:
    return char != "" and unicodedata.category(char)[0] in "PS"


@lru_cache(maxsize=1_024)
def _is_blankless(char: str) -> bool:
    """Whether `char` is of a script that sets no blanks between words, its punctuation included."""
    if not char:
        return False
    is_wide = unicodedata.east_asian_width(char) in "WFH"
    is_symbol = unicodedata.category(char) in ("So", "Sk")
    return (is_wide and not is_symbol) or _BLANKLESS.match(char) is not None


def _is_word_char(char: str) -> bool:
    """Of a script with blanks between words: letters that have capitals, and digits."""
    return char.isdecimal() or char.lower() != char.upper()

"""Laws that hold for every item of the corpus, whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def marker(number: int) -> str:
    """A word that only the conversation of item `number` holds."""
    return f"zebra{number:04}x"


@dataclass
class Verdicts:
    """Broken laws, one line each."""

    broken: list[str] = field(default_factory=list)

    def check(self, name: str, law: str, holds: bool, seen: object = "") -> None:
        if not holds:
            self.broken.append(f"{name}: {law}" + (f" {seen!r:.300}" if seen else ""))

    def check_prompt(self, name: str, number: int, count: int, messages: list[Any]) -> None:
        """A prompt holds nothing of another item's conversation."""
        text = str(messages)
        others = [other for other in range(count) if other != number and marker(other) in text]
        self.check(name, "the prompt holds another conversation", not others, others)

    def done(self) -> None:
        assert not self.broken, "\n".join(self.broken)

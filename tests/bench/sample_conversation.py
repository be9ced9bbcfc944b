"""Sample conversations: deterministic texts, varied and about as long as people and models write."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn, Usage

OPENINGS = (
    "Could you tell me", "I wonder", "Please explain", "Remind me", "What I never understood is",
    "My sister asked me", "Before I forget:", "For the report I need to know", "In plain words:",
    "Let us go back a little:", "One more thing:",
)  # fmt: skip
QUESTIONS = (
    "how the {thing} was {done} when nobody {did} it",
    "why a {quality} {thing} costs more than {number} of the {other} kind",
    "whether the {thing} in the {place} still has to be {done} by the end of the {time}",
    "what happens to the {thing} if the {other} is {quality}",
    "who first {did} a {thing} in a {place}, and with which {other}",
)
STATEMENTS = (
    "A {quality} {thing} is {done} in the {place}, usually within {number} days.",
    "Most people {did} the {other} first and looked at the {thing} afterwards.",
    "In {year} the {place} had {number} of them; today a {thing} is {quality} there.",
    "If the {other} is {quality}, the {thing} must be {done} again before the {time} ends.",
    "That depends on the {thing}: the {quality} ones are {done} by hand, the others by machine.",
    "- **{thing}**: {number} pieces, {quality}, kept in the {place}",
    "`{thing}({number}, \"{other}\")` returns the {quality} {other}, or raises `{thing}_error_{number}`.",
    "Here is the list:\n1. {quality} {thing}\n2. {thing} with {other}\n3. {number} spare {other}s",
    "There are exceptions, such as a {thing} that was {done} without a {other}.",
    "I would not rely on the {other}, since it was {done} only {number} times in {year}.",
)  # fmt: skip
WORDS = {
    "thing": ("hive", "invoice", "sonata", "bridge", "database", "garden", "lens", "recipe", "contract",
              "engine", "theorem", "novel", "battery", "harbour", "telescope", "spreadsheet"),
    "other": ("queen", "receipt", "violin", "pillar", "index", "hedge", "mirror", "oven", "clause",
              "valve", "lemma", "chapter", "cable", "crane", "tripod", "column"),
    "place": ("attic", "office", "concert hall", "valley", "data centre", "greenhouse", "laboratory",
              "kitchen", "court", "workshop", "lecture", "library", "cellar", "port", "observatory"),
    "quality": ("brittle", "generous", "provisional", "well-known", "half-finished", "quiet", "enormous",
                "obsolete", "reliable", "transparent", "bitter", "unusual"),
    "done": ("measured", "repaired", "rewritten", "signed", "tuned", "watered", "polished", "compared",
             "translated", "dismantled", "photographed", "weighed"),
    "did": ("noticed", "counted", "borrowed", "improved", "questioned", "painted", "described", "lost"),
    "time": ("month", "season", "quarter", "week", "concert", "project", "harvest"),
}  # fmt: skip

PLATFORM, ACCOUNT = "slack", "T0BENCH"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class SampleConversation:
    """One conversation, turn by turn; all of them have the same texts.

    Attributes:
        answer_sentences: how long answers are, from and to. Questions have one to three.
        different: after so many turns the texts begin again.
    """

    place: str
    answer_sentences: tuple[int, int] = (3, 20)
    different: int = 1_000

    @property
    def session(self) -> SessionKey:
        return SessionKey(PLATFORM, ACCOUNT, self.place, "1767225600.000100")

    def question(self, number: int) -> str:
        return _question(f"question {number % self.different}")

    def answer(self, number: int) -> str:
        return _answer(f"answer {number % self.different}", *self.answer_sentences)

    def asked(self, number: int) -> Turn:
        """The turn as a worker hands it to the handler."""
        message_id = f"17672256{number:06}.000200"
        address = Address(
            self.session, recipient_id="U0ADA", recipient_account=ACCOUNT, reply_to_id=message_id
        )
        said = Incoming(
            address, Speaker("U0ADA", "Ada", ACCOUNT), self.question(number), message_id,
            event_id=f"Ev{number:08}", sent_at=BEGAN,
        )  # fmt: skip
        return Turn(f"{self.place}-{number:06}".rjust(32, "0"), (said,))

    def answered(self, number: int, *, conversation_id: str = "", generation: int = 0) -> Turn:
        """The turn as history has it."""
        return self.asked(number).ended(
            "complete",
            self.answer(number),
            conversation_id=conversation_id,
            generation=generation,
            model="loopback",
            usage=Usage(1_000, 100, 900),
            answer_ids=(f"17672256{number:06}.000300",),
        )


@cache
def _question(seed: str) -> str:
    rng = random.Random(seed)
    asked = [f"{rng.choice(OPENINGS)} {_filled(rng, QUESTIONS)}?"]
    asked += [_filled(rng, STATEMENTS) for _ in range(rng.choice((0, 0, 1, 2)))]
    return " ".join(asked)


@cache
def _answer(seed: str, least: int, most: int) -> str:
    rng = random.Random(seed)
    said = [_filled(rng, STATEMENTS) for _ in range(rng.randint(least, most))]
    return "".join(sentence + ("\n\n" if rng.random() < 0.2 else " ") for sentence in said).strip()


def _filled(rng: random.Random, patterns: tuple[str, ...]) -> str:
    words = {kind: rng.choice(choices) for kind, choices in WORDS.items()}
    return rng.choice(patterns).format(
        **words, number=rng.randint(2, 900), year=rng.randint(1820, 2025)
    )

"""Error tree. Each error carries the sentence its user reads and the facts its catcher needs.

KeepthreadError
├── SettingsError            a setting is missing, misspelt or impossible
├── StoreError               Redis
│   ├── StoreUnavailable     cannot be reached (now)
│   │   └── StoreReadOnly    is a replica (now)
│   ├── StoreRefused         wrong password, no rights, wrong kind of server
│   ├── StoreFull            out of memory or disk
│   └── Overtaken            a newer worker or a reset has the conversation
├── ModelError               the language model
│   ├── ModelBusy            rate limited or overloaded; `retry_after_s`
│   ├── ModelUnreachable     no connection
│   ├── ModelTimeout         too slow
│   ├── ModelBroken          5xx, or an answer that is no answer
│   ├── AnswerCut            ended in mid-answer
│   ├── OnlyThinking         ended before an answer began
│   ├── AnswerFiltered       the provider's content filter
│   ├── ModelSetupError      the operator's problem at the provider: account, address, settings
│   │   ├── ModelKeyRefused  key or rights refused
│   │   ├── ModelQuotaSpent  out of credit
│   │   └── ModelMissing     no such model
│   ├── PromptTooLong        more than the model takes
│   ├── PromptRefused        any other 400
│   └── LocalModelError      the local model cannot run or be fetched
├── MessageTooLong           one message larger than the whole budget
├── CommandError             a command used wrongly
├── AccessRefused            not allowed
├── FailedBefore             an earlier failure, shown again
└── PlatformError            a chat platform
    ├── PlatformRefused      token or rights; `cure` says which
    ├── PlatformBusy         429; `retry_after_s`
    ├── PlatformUnreachable  no connection
    ├── FileTooLarge         more than was asked for
    └── PlaceGone            chat gone, bot blocked or kicked
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

NOT_LISTED = "You are not on the list of people I talk with."
NOT_ALLOWED = "You may not do that here."


class KeepthreadError(Exception):
    """Root of everything Keepthread raises on purpose.

    Attributes:
        sentence: text for the person in the chat: no internals, no secrets.
        can_retry: whether the same call may succeed later though nothing is changed.
        detail: cause, for the log; may hold addresses, never secrets.
        cure: advice for the operator, or `""`.
        retry_after_s: seconds after which another try makes sense, or None.
    """

    sentence: ClassVar[str] = "Something went wrong on my side."
    can_retry: ClassVar[bool] = False

    def __init__(
        self, detail: str = "", *, cure: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.cure = cure
        self.retry_after_s = retry_after_s

    @property
    def user_text(self) -> str:
        """Sentence for the person in the chat; by default `sentence`."""
        return self.sentence

    def __str__(self) -> str:
        return self.detail or self.sentence


class SettingsError(KeepthreadError):
    sentence = "I am not set up properly. Please tell the person who runs me."


class StoreError(KeepthreadError):
    sentence = "My memory is not working right now. Please try again in a minute."


class StoreUnavailable(StoreError):
    sentence = "I cannot reach my memory right now. Please try again in a minute."
    can_retry = True


class StoreReadOnly(StoreUnavailable):
    """A server that is a replica takes no writes: a fail-over has not reached its name yet, or never will."""


class StoreRefused(StoreError):
    sentence = "My memory does not let me in. Please tell the person who runs me."


class StoreFull(StoreError):
    sentence = "My memory is full. Please tell the person who runs me."
    can_retry = True


class Overtaken(StoreError):
    """The turn is another's or nobody's any more: its worker writes and shows nothing.

    Attributes:
        by_reset: the conversation was reset; the turn is over for good.
        by_worker: a worker with a newer fencing token runs the turn.
    """

    sentence = "This conversation was reset while I was answering."

    def __init__(
        self, detail: str = "", *, by_reset: bool = False, by_worker: bool = False
    ) -> None:
        super().__init__(detail)
        self.by_reset = by_reset
        self.by_worker = by_worker


class ModelError(KeepthreadError):
    sentence = "The language model did not answer."


class ModelBusy(ModelError):
    can_retry = True

    @property
    def user_text(self) -> str:
        if self.retry_after_s and self.retry_after_s >= 1:
            wait = f"{self.retry_after_s:.0f} seconds"
            return f"The language model is busy. Please try again in about {wait}."
        return "The language model is busy. Please try again in a moment."


class ModelUnreachable(ModelError):
    sentence = "I cannot reach the language model right now. Please try again in a moment."
    can_retry = True


class ModelTimeout(ModelError):
    sentence = "The language model took too long. Please try again."
    can_retry = True


class ModelBroken(ModelError):
    sentence = "The language model had a problem. Please try again."
    can_retry = True


class AnswerCut(ModelError):
    sentence = "The answer was cut off. Say “retry” for a new one."
    can_retry = True


class OnlyThinking(ModelError):
    """Answer that is nothing but thinking. Not asked again at once: it would cost as much once more."""

    sentence = "The language model thought, but gave no answer. Say “retry” for a new one."


class AnswerFiltered(ModelError):
    sentence = "The language model's content filter stopped this answer. Please put it differently."


_PROVIDER_PROBLEM = "I have a problem with my provider."
_OPERATOR_TOLD = "The people who run me have been told."


class ModelSetupError(ModelError):
    """Problem that only the operator can settle: nothing that a person writes makes it go away."""

    sentence = f"{_PROVIDER_PROBLEM} {_OPERATOR_TOLD}"


class ModelKeyRefused(ModelSetupError):
    sentence = f"{_PROVIDER_PROBLEM} The language model does not let me in. {_OPERATOR_TOLD}"


class ModelQuotaSpent(ModelSetupError):
    sentence = f"{_PROVIDER_PROBLEM} My credit with the language model is used up. {_OPERATOR_TOLD}"


class ModelMissing(ModelSetupError):
    sentence = f"{_PROVIDER_PROBLEM} My language model does not exist there. {_OPERATOR_TOLD}"


class PromptTooLong(ModelError):
    sentence = "This is more than the language model can take at once. Please send less."


class PromptRefused(ModelError):
    sentence = "The language model refused this message. Please put it differently."


class LocalModelError(ModelError):
    sentence = "The local language model cannot run. Please tell the person who runs me."


class MessageTooLong(KeepthreadError):
    """Message that alone is larger than the prompt's budget.

    Attributes:
        tokens: estimated size of the message.
        limit_tokens: size of the largest message that fits.
    """

    sentence = "This message is too long for me. Please send it in parts."

    def __init__(self, tokens: int, limit_tokens: int) -> None:
        super().__init__(f"message of about {tokens} tokens, limit {limit_tokens}")
        self.tokens = tokens
        self.limit_tokens = limit_tokens

    @property
    def user_text(self) -> str:
        words = int(self.limit_tokens * 0.7)
        return (
            f"This message is too long for me (about {self.tokens:,} tokens; I can take "
            f"{self.limit_tokens:,}, some {words:,} words). Please send it in parts."
        )


class CommandError(KeepthreadError):
    """Command that cannot be done as asked; `detail` is the sentence its person reads."""

    @property
    def user_text(self) -> str:
        return self.detail


class AccessRefused(KeepthreadError):
    """Action that the person may not do; `detail` is the sentence they read."""

    @property
    def user_text(self) -> str:
        return self.detail or NOT_ALLOWED


class FailedBefore(KeepthreadError):
    """Earlier failure, shown again: only the name of its class is known.

    Attributes:
        kind: class of the earlier failure.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} (told again)")
        self.kind = next(
            (kind for kind in _subclasses(KeepthreadError) if kind.__name__ == name),
            KeepthreadError,
        )

    @property
    def user_text(self) -> str:
        return self.kind.sentence


def _subclasses(parent: type[KeepthreadError]) -> Iterator[type[KeepthreadError]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from _subclasses(kind)


class PlatformError(KeepthreadError):
    sentence = "I could not deliver my answer here."


class PlatformRefused(PlatformError):
    pass


class PlatformBusy(PlatformError):
    can_retry = True


class PlatformUnreachable(PlatformError):
    can_retry = True


class FileTooLarge(PlatformError):
    """File longer than the limit; what the platform said of its size was less, or nothing."""


class PlaceGone(PlatformError):
    """Place where the bot can no longer post: blocked, kicked, deleted. Never retried."""

"""The error tree: its drawing, and the sentence of an earlier failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot import errors
from bot.errors import FailedBefore, KeepthreadError, ModelKeyRefused, PlatformError


def classes(parent: type[KeepthreadError]) -> Iterator[tuple[str, str]]:
    """(class, parent) of all that is defined here below `parent`."""
    for kind in parent.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind.__name__, parent.__name__
            yield from classes(kind)


def drawn() -> Iterator[tuple[str, str]]:
    """(class, parent) of each line of the tree that the module's docstring draws."""
    assert errors.__doc__
    path = ["KeepthreadError"]
    for line in errors.__doc__.splitlines():
        branch, mark, rest = line.partition("── ")
        if mark:
            depth = len(branch) // 4 + 1
            path = [*path[:depth], rest.split()[0]]
            yield path[-1], path[-2]


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    assert sorted(drawn()) == sorted(classes(KeepthreadError))


@pytest.mark.parametrize("kind", [ModelKeyRefused, PlatformError, KeepthreadError])
def test_an_earlier_failure_shows_the_sentence_of_its_class(kind: type[KeepthreadError]) -> None:
    assert FailedBefore(kind.__name__).user_text == kind.sentence


def test_an_earlier_failure_of_an_unknown_class_shows_the_general_sentence() -> None:
    assert FailedBefore("GoneSinceTheUpdate").user_text == KeepthreadError.sentence

"""Every error of redis-py has its place in our tree."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import pytest
import redis
import redis.event
from redis import exceptions as theirs

from bot.errors import StoreError, StoreFull, StoreRefused, StoreUnavailable
from bot.storage.errors import ROOTS, TABLE, store_errors, translate


def every_class() -> list[type[Exception]]:
    return [c for c in vars(theirs).values() if inspect.isclass(c) and issubclass(c, Exception)]


def test_the_table_names_every_class_of_the_library_and_no_other() -> None:
    assert set(TABLE) == set(every_class())


def test_whatever_the_library_defines_elsewhere_is_caught_too() -> None:
    found = set()
    for module in pkgutil.walk_packages(redis.__path__, "redis."):
        if any(part in module.name for part in ("search", "multidb", "http", "otel", "auth")):
            continue  # parts that we don't use
        for item in vars(import_module(module.name)).values():
            if inspect.isclass(item) and issubclass(item, Exception):
                found.add(item)
    ours = {c for c in found if c.__module__.startswith("redis.")}
    assert len(ours) > 35
    not_caught = {c for c in ours if not issubclass(c, ROOTS)}
    # That one wraps what the listeners of an application raise; we have none.
    assert not_caught == {redis.event.EventException}


@pytest.mark.parametrize("cls", every_class(), ids=lambda cls: cls.__name__)
def test_each_is_raised_as_ours_with_its_cause(cls: type[Exception]) -> None:
    moved = issubclass(cls, theirs.AskError)
    error = cls("1 host:1") if moved else cls("words")
    with pytest.raises(StoreError) as caught, store_errors():
        raise error
    assert caught.value.__cause__ is error
    assert cls.__name__ in caught.value.detail
    if not isinstance(caught.value, (StoreUnavailable, StoreRefused, StoreFull)):
        assert type(caught.value) is StoreError
    else:
        assert caught.value.cure


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("MISCONF Errors writing to the AOF file: No space left on device", StoreFull),
        ("NOREPLICAS Not enough good replicas to write.", StoreUnavailable),
        ("BUSY Valkey is busy running a script.", StoreUnavailable),
        ("unknown command 'XAUTOCLAIM', with args beginning with: ", StoreRefused),
        ("wrong number of arguments", StoreError),
    ],
)
def test_replies_without_a_class_are_known_by_their_code(
    reply: str, kind: type[StoreError]
) -> None:
    assert type(translate(theirs.ResponseError(reply))) is kind


def test_what_is_not_theirs_passes_untouched() -> None:
    with pytest.raises(ZeroDivisionError), store_errors():
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), store_errors():
        raise KeyboardInterrupt

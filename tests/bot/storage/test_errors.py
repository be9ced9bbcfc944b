"""The table of redis-py's exceptions is complete, and each becomes a StoreError with a cure."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import pytest
import redis
import redis.event
from redis import exceptions as redis_errors

from bot.errors import StoreError, StoreFull, StoreRefused, StoreUnavailable
from bot.storage.errors import ROOT_ERRORS, TABLE, store_errors, translate_error


def every_class() -> list[type[Exception]]:
    return [
        c for c in vars(redis_errors).values() if inspect.isclass(c) and issubclass(c, Exception)
    ]


def test_the_table_names_every_class_of_the_library_and_no_other() -> None:
    assert set(TABLE) == set(every_class())


def test_exceptions_that_the_library_defines_elsewhere_are_caught_too() -> None:
    found = set()
    for module in pkgutil.walk_packages(redis.__path__, "redis."):
        if any(part in module.name for part in ("search", "multidb", "http", "otel", "auth")):
            continue  # parts that we don't use
        for item in vars(import_module(module.name)).values():
            if inspect.isclass(item) and issubclass(item, Exception):
                found.add(item)
    ours = {c for c in found if c.__module__.startswith("redis.")}
    assert len(ours) > 35
    not_caught = {c for c in ours if not issubclass(c, ROOT_ERRORS)}
    # That one wraps what the listeners of an application raise; we have none.
    assert not_caught == {redis.event.EventException}


@pytest.mark.parametrize("cls", every_class(), ids=lambda cls: cls.__name__)
def test_each_exception_is_raised_as_a_store_error_with_its_cause(cls: type[Exception]) -> None:
    moved = issubclass(cls, redis_errors.AskError)
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
def test_replies_without_a_class_are_translated_by_their_code(
    reply: str, kind: type[StoreError]
) -> None:
    assert type(translate_error(redis_errors.ResponseError(reply))) is kind


def test_exceptions_of_others_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), store_errors():
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), store_errors():
        raise KeyboardInterrupt


def test_a_tls_port_that_is_spoken_to_in_plain_names_the_scheme() -> None:
    """M14: `redis://` to a TLS port."""
    reply = b"\x15\x03\x03\x00\x02"
    alert = redis_errors.InvalidResponse(f"Protocol Error: {reply!r}")
    assert "rediss://" in translate_error(alert).cure
    closed = redis_errors.ConnectionError("Connection closed by server.")
    assert "rediss://" in translate_error(closed).cure

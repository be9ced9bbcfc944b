"""The adapter and its ports."""

from __future__ import annotations

import os

import pytest

from adapters.console.adapter import ADAPTER
from adapters.console.settings import ConsoleSettings
from bot.conversation import Incoming
from bot.errors import StoreUnavailable
from bot.ports import Adapter, Connection, Health
from bot.service.direct_core import DirectCore


async def test_the_adapter_satisfies_the_ports(core: DirectCore) -> None:
    adapter: Adapter[ConsoleSettings] = ADAPTER
    own = ConsoleSettings.load()
    assert not adapter.is_configured(own)
    assert await adapter.check(core.settings, own) == []
    connection: Connection = await adapter.open(core, own)
    assert connection.health() == Health(ready=True)
    assert connection.routes() == []
    await connection.aclose()


async def test_a_line_that_cannot_be_enqueued_is_answered_with_the_error(
    core: DirectCore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def enqueue(_: Incoming) -> None:
        raise StoreUnavailable("no route", cure="Start Redis.")

    monkeypatch.setattr(core, "enqueue", enqueue)
    reading, writing = os.pipe()
    os.write(writing, b"hello\nhello again\n")
    os.close(writing)
    with open(reading) as stdin:  # noqa: ASYNC230  a pipe that is filled
        monkeypatch.setattr("sys.stdin", stdin)
        assert await ADAPTER.chat(core, session_name="test", banner="") == 1
    text = capfd.readouterr()
    assert text.out == ""
    assert text.err.count(StoreUnavailable.sentence) == 2
    assert "Start Redis." in text.err

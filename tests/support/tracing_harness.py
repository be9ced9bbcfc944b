"""Turns to be traced: settings of a tracer, a model that echoes, and the handler's steps."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.ports import Tracer, TurnTrace
from bot.settings import Settings
from tests.fakes.model_server import Behaviour, Exchange
from tests.support.repository import ROOT

KEY = "key-of-a-test"

TRACE_THREE_TURNS = """
import asyncio, sys
from dataclasses import replace
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.settings import Settings
from bot.tracing import build_tracer

async def main():
    tracer = build_tracer(Settings())
    key = SessionKey("console", "local", "main")
    turn = Turn("t1", (Incoming(Address(key), Speaker("u1"), "hello"),))
    for _ in range(3):
        async with tracer.turn(replace(turn, conversation_id="talk", generation=0)) as trace:
            trace.end(turn.ended("complete", "hi"))
    if sys.argv[1] == "wait":
        await asyncio.sleep(0.6)
    if sys.argv[1] != "leave":
        await tracer.aclose()
    print("left", type(tracer).__name__)

asyncio.run(main())
"""


def echo(hold: asyncio.Event | None = None) -> Behaviour:
    """Answers "echo" and the last message, word by word; after the first word once `hold` is set."""

    async def behave(exchange: Exchange) -> web.StreamResponse:
        content = exchange.received.messages[-1]["content"]
        words = f"echo {content if isinstance(content, str) else content[0]['text']}".split(" ")
        response = await exchange.open()
        for number, word in enumerate(words):
            await exchange.send(response, {"content": (" " if number else "") + word})
            if hold is not None:
                await hold.wait()
        await exchange.send(response, {}, "stop")
        usage = {"prompt_tokens": 11, "completion_tokens": len(words), "total_tokens": 11}
        await exchange.send(response, {}, usage=usage, choices=[])
        await response.write(b"data: [DONE]\n\n")
        return response

    return behave


def tracing_settings(url: str, **more: Any) -> Settings:
    given: dict[str, Any] = {
        "langsmith_tracing": True,
        "langsmith_api_key": KEY,
        "langsmith_endpoint": url,
        "langsmith_project": "tests",
    }
    return Settings(_env_file=None, **given | more)


def question(number: int = 0, *, shared: bool = False) -> Turn:
    key = SessionKey("console", "local", f"place-{number}")
    address = Address(key, place_kind="group" if shared else "private")
    return Turn(
        f"turn-{number}",
        (Incoming(address, Speaker("U1", "Ada"), f"question-{number} please"),),
        conversation_id="talk",
    )


async def run_turn(tracer: Tracer, chat: ChatOpenAI, number: int = 0) -> Turn:
    """A whole turn, as the handler runs it, of conversation `talk-<number>`."""
    turn = replace(question(number), conversation_id=f"talk-{number}", generation=number)
    async with tracer.turn(turn) as trace:
        return await _answer(chat, trace, turn)


async def _answer(chat: ChatOpenAI, trace: TurnTrace, turn: Turn) -> Turn:
    async with trace.step("read history", inputs={"session": str(turn.session)}) as step:
        step.end({"turns": 0})
    prompt = [SystemMessage("be brief"), HumanMessage(turn.incoming[-1].text)]
    text = ""
    async for chunk in chat.astream(prompt, config=trace.model_config()):  # type: ignore[arg-type]
        text += str(chunk.content)
    done = turn.ended("complete", text, run_id=trace.run_id, model="echo-1")
    async with trace.step("write history") as step:
        step.end({"written": True})
    trace.end(done)
    return done


async def break_step(tracer: Tracer, turn: Turn, error: Exception) -> None:
    """Raise `error` within a step of `turn`."""
    async with tracer.turn(turn) as trace, trace.step("write history"):
        raise error


async def run_script(script: str, *arguments: str, cwd: Path, **environ: str) -> str:
    """The output of `script`, run in its own process with nothing but `environ` set."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        *arguments,
        cwd=cwd,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(cwd), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(80):  # langsmith's own exit takes 90 seconds and more
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, err.decode()
    return out.decode()

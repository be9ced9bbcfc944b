"""Worker process of the fault runs: the real service with the loopback platform and an echo model.

    python -m tests.faults.worker_process JOURNAL   (settings from the environment)

A message "poison" kills the process that answers it; "long:2.5" is answered after so many seconds.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from bot.logs import configure_logging
from bot.plugins import load_settings
from bot.ports import AnswerDelta, Prompt, TurnTrace
from bot.service.service import open_service
from tests.fakes.loopback_platform import Journal, LoopbackPlatform


class Echo:
    """`Model` that repeats the message, after `answer_s`, in three pieces."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s

    async def stream(
        self, prompt: Prompt, trace: TurnTrace | None = None
    ) -> AsyncGenerator[AnswerDelta, None]:
        text = prompt.messages[-1].text
        if "poison" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        long = re.search(r"long:([\d.]+)", text)
        answer_s = float(long.group(1)) if long else self._answer_s
        for part in ("You ", "said: ", text):
            await asyncio.sleep(answer_s / 3)
            yield AnswerDelta(part)

    async def aclose(self) -> None:
        pass


async def main(journal_path: str, answer_s: float) -> None:
    settings = load_settings()
    configure_logging(settings.bot_log_level, "text")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    platform = LoopbackPlatform(Journal(Path(journal_path)), journaled=frozenset())
    async with open_service(settings, role="worker", platforms={"loop": platform}) as service:
        service.services.handler.model = Echo(answer_s)
        platform.journal.write(what="up")
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))

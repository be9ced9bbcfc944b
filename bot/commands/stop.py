"""`stop`: the running answer stopped."""

from bot.commands.call import Call
from bot.commands.command import Command


async def run(call: Call) -> None:
    stopped = await call.services.stop(call.session, call.incoming.speaker, before=call.item)
    await call.post("Stopped." if stopped else "There is nothing to stop.")


COMMAND = Command(
    "stop",
    "Stop the answer that is being written.",
    aliases=("cancel",),
    reads_only=True,  # it must not wait for the answer that it is to stop
    run=run,
)

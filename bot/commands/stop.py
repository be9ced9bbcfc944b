"""Stop the answer that is being written."""

from bot.commands.call import Call

ALIASES = ("cancel",)
READS_ONLY = True  # it must not wait for the answer that it is to stop


async def run(call: Call) -> None:
    stopped = await call.services.stop(call.session, call.incoming.speaker, before=call.item)
    await call.post("Stopped." if stopped else "There is nothing to stop.")

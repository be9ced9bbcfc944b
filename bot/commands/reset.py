"""`reset`: the conversation forgotten for good."""

from bot.commands.call import Call
from bot.commands.command import Command


async def run(call: Call) -> None:
    count = await call.services.history.reset(call.session, fence=call.fence, request_id=call.id)
    turns = "1 turn" if count == 1 else f"{count:,} turns"
    await call.post(f"Forgotten: {turns}." if count else "There was nothing to forget.")


COMMAND = Command(
    "reset",
    "Forget this conversation for good and begin again.",
    aliases=("clear",),
    admin_in_shared=True,
    interrupts=True,
    run=run,
)

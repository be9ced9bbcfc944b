"""`new`: a new conversation, the earlier one kept for export."""

from bot.commands.call import Call
from bot.commands.command import Command


async def run(call: Call) -> None:
    count = await call.services.history.reset(
        call.session, keep=True, fence=call.fence, request_id=call.id
    )
    await call.post(
        "A new conversation." + (" I no longer think of the earlier one." if count else "")
    )


COMMAND = Command(
    "new",
    "Begin a new conversation; the earlier one stays for export.",
    admin_in_shared=True,
    interrupts=True,
    run=run,
)

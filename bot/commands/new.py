"""Begin a new conversation; the earlier one stays for export."""

from bot.commands.call import Call

ADMIN_IN_SHARED = True


async def run(call: Call) -> None:
    count = await call.services.history.reset(
        call.session, keep=True, fence=call.fence, once=call.id
    )
    await call.post(
        "A new conversation." + (" I no longer think of the earlier one." if count else "")
    )

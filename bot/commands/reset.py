"""Forget this conversation for good and begin again."""

from bot.commands.call import Call

ALIASES = ("clear",)
ADMIN_IN_SHARED = True


async def run(call: Call) -> None:
    count = await call.services.history.reset(call.session, fence=call.fence, once=call.id)
    turns = "1 turn" if count == 1 else f"{count:,} turns"
    await call.post(f"Forgotten: {turns}." if count else "There was nothing to forget.")

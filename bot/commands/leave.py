"""Take part in this conversation no longer, until I am mentioned."""

from bot.commands.call import Call


async def run(call: Call) -> None:
    await call.services.sessions.leave(call.session)
    await call.post("I will be quiet here until somebody mentions me.")

"""`leave`: no part in the conversation until the next mention."""

from bot.commands.call import Call
from bot.commands.command import Command


async def run(call: Call) -> None:
    await call.services.sessions.leave(call.session)
    await call.post("I will be quiet here until somebody mentions me.")


COMMAND = Command(
    "leave", "Take part in this conversation no longer, until I am mentioned.", run=run
)

"""`whoami`: the speaker's id and rights, and the key of the conversation."""

from bot.commands.call import Call
from bot.commands.command import Command


async def run(call: Call) -> None:
    who, session = call.incoming.speaker, call.session
    target = f"{who.account}/{who.id}" if who.account else who.id
    admin = await call.services.access.is_admin(call.address, who)
    await call.post(
        f"You are **{who.label}**, `{session.platform}:{target}`, "
        f"{'an admin' if admin else 'no admin'} here. This place is `{session}`."
    )


COMMAND = Command(
    "whoami", "Show who you are to me, and what you may do.", reads_only=True, run=run
)

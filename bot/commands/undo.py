"""`undo`: the latest question and its answer forgotten."""

from bot.commands.call import Call
from bot.commands.command import Command
from bot.errors import CommandError


async def run(call: Call) -> None:
    history = call.services.history
    latest = (await history.read(call.session, fence=call.fence)).question
    if latest is None or not await history.forget_turn(
        call.session, latest, fence=call.fence, request_id=call.id
    ):
        raise CommandError("There is nothing to undo.")
    said = latest.turn.incoming[0].text.strip().splitlines()
    start = said[0] if said else ""
    short = start if len(start) <= 60 else start[:59] + "…"
    await call.post(f"Forgotten: “{short}” and its answer.")


COMMAND = Command(
    "undo", "Forget the latest question and its answer.", admin_in_shared=True, run=run
)

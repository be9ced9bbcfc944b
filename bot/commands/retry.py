"""Answer the latest question again."""

from bot.commands.registry import Call
from bot.conversation import Turn
from bot.errors import CommandError
from bot.handler import Request

ALIASES = ("again",)


async def run(call: Call) -> None:
    past = await call.services.history.read(call.session)
    asked = [item for item in past.window if item.turn.state != "overheard"]
    if not asked:
        raise CommandError("There is no question to answer again.")
    last = asked[-1].turn
    turn_id = call.id or f"{last.id}:again:{call.incoming.message_id}"
    # The same id: this very call came again, and its answer is there.
    turn = last if last.id == turn_id else Turn(id=turn_id, incoming=last.incoming)
    request = Request(turn, fence=call.fence, replaces=last.id)
    await call.services.handler.answer(request, call.reply, call.stopper)

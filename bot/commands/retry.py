"""`retry`: the latest question answered again."""

from bot.commands.call import Call
from bot.commands.command import Command
from bot.conversation import Turn
from bot.errors import CommandError
from bot.turns.request import Request


async def run(call: Call) -> None:
    past = await call.services.history.read(call.session)
    if past.question is None:
        raise CommandError("There is no question to answer again.")
    last = past.question.turn
    turn_id = call.id or f"{last.id}:again:{call.incoming.message_id}"
    if last.id == turn_id:  # a redelivery of this call: its answer is written
        request = Request(last, call.fence)
    else:
        turn, images = await call.prepare(Turn(id=turn_id, incoming=last.incoming))
        request = Request(turn, call.fence, images, replaces=last.id)
    await call.services.handler.handle(request, call.reply, call.stop)


COMMAND = Command("retry", "Answer the latest question again.", aliases=("again",), run=run)

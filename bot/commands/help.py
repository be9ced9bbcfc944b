"""`help`: the list of commands."""

from bot.commands.call import Call
from bot.commands.command import Command


async def run(call: Call) -> None:
    lines = []
    for spec in call.services.commands:
        names = " or ".join(f"`{name}`" for name in spec.names)
        admins = " (for admins here)" if spec.admin_in_shared and call.address.shared else ""
        lines.append(f"- {names} – {spec.summary}{admins}")
    await call.post("\n".join(lines))


COMMAND = Command("help", "List the commands.", reads_only=True, run=run)

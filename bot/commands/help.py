"""List the commands."""

from bot.commands.call import Call

READS_ONLY = True


async def run(call: Call) -> None:
    from bot.commands import COMMANDS

    lines = []
    for spec in COMMANDS.specs:
        names = " or ".join(f"`{name}`" for name in (spec.name, *spec.aliases))
        admins = " (for admins here)" if spec.admin_in_shared and call.address.shared else ""
        lines.append(f"- {names} – {spec.summary}{admins}")
    await call.post("\n".join(lines))

"""Slack: both transports, threads as conversations, streaming, buttons, App Home.

    run settings preflight    what the core finds, what must be set, whether it is enough
    connection                everything wired, and closed in reverse
    cli manifest              `keepthread slack manifest`

hears, from the wire to the core
    http sockets app          signed requests and links; the one middleware that takes in before the ack
    parse fields attached     payloads to what `happened`, whatever they hold
    intake sessions presses   which conversation, for whom, as what; buttons, shortcuts, the slash command
    mrkdwn people threads     text, names and rights, threads of messages
    actions                   ids of all that can be pressed: shared with what speaks
    home agents errands       App Home, agent threads; what nobody waits for
    seeding files             what was said before; files both ways

speaks, from the core to the wire
    reply stream delivery     an answer, growing, and as it stands in the end
    split render sign         its messages, their looks, the signs that it is coming
    spot outbound whisper     where; posting once and finding again; words for one person
    calls budget failures     each call with its patience, its room, its error in our words

many workspaces
    teams installations       clients and bots by workspace; what OAuth brought, encrypted
"""

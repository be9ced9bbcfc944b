"""The terminal: the smallest platform. Copy it for a new one.

settings.py   what can be set (nothing)
parse.py      a line becomes an Incoming          pure
render.py     Markdown becomes text on a screen   pure
reply.py      the way an answer takes: on a screen, into a pipe
terminal.py   the line editor          pipes.py   reading and writing without waiting
run.py        the adapter and its connection
"""

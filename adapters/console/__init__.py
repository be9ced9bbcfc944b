"""Console adapter: the smallest platform. Copy it for a new one.

adapter.py      the adapter: opens connections and runs `keepthread chat`
connection.py   conversations at a terminal and through pipes
settings.py     its settings (none)
parse.py        from a line to an Incoming            pure
render.py       from Markdown to text on a terminal   pure
reply.py        replies: on a terminal, into a pipe
line_editor.py  line editor of a terminal
pipes.py        non-blocking standard input and output
"""

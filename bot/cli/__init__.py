"""Command line of `keepthread`: one module a sub-command, imported when it is needed."""

"""Command line of `keepthread`."""
